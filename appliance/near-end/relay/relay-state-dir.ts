/**
 * The directory of one relay, locked: NARs while they are pushed, and the list of pushed files. By default "burrow/relay"
 * of $XDG_STATE_HOME, or what systemd names in $STATE_DIRECTORY.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import { DirectoryLocked, takeDirectoryLock } from '../../../src/index.ts'
import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { userStateDir } from '../../state/user-state-dir.ts'

export interface RelayStateDir extends Disposable {
  readonly dir: string
}

/** @throws {Complaint} config, refused */
export async function takeRelayStateDir(machine: Machine): Promise<RelayStateDir> {
  const dir = await makeStateDir(machine)
  const lock = lockStateDir(dir, machine.pid)
  return { dir, [Symbol.dispose]: () => lock[Symbol.dispose]() }
}

async function makeStateDir(machine: Machine): Promise<string> {
  const dir = machine.env.STATE_DIRECTORY ?? join(userStateDir(machine), 'relay')
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    return dir
  } catch (error) {
    throw new Complaint('config', `Cannot make "${dir}": ${(error as Error).message}`, { cause: error })
  }
}

/** When a relay starts, it removes the NARs that an earlier one left in the directory. */
function lockStateDir(dir: string, pid: number): Disposable {
  try {
    return takeDirectoryLock(dir, pid)
  } catch (error) {
    if (!(error instanceof DirectoryLocked))
      throw new Complaint('config', `Cannot lock "${dir}": ${(error as Error).message}`, { cause: error })
    throw new Complaint(
      'refused',
      `Another relay uses "${dir}": stop it, or name another directory for this one with $STATE_DIRECTORY`,
      { cause: error },
    )
  }
}
