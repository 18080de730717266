/**
 * Only one Burrow may use a state directory: two would overwrite each other's record of the tunnel, stop each other's
 * cloudflared, and answer `burrow status` for each other.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { DirectoryLocked, type Log, takeDirectoryLock } from '../../src/index.ts'
import { Complaint, reasonOf } from '../complaint.ts'

/** Dispose of the result to unlock. @throws {Complaint} refused: the directory is in use; names the process */
export async function lockStateDir(dir: string, processId: number, log: Log): Promise<Disposable> {
  try {
    return takeDirectoryLock(dir, processId)
  } catch (error) {
    if (error instanceof DirectoryLocked) throw await toComplaint(dir, error)
    // Some network file systems do not support locks. Burrow serves anyway.
    log.warn(
      { dir, reason: reasonOf(error) },
      'Cannot lock the state directory: make sure that no other Burrow uses it',
    )
    return { [Symbol.dispose]() {} }
  }
}

async function toComplaint(dir: string, cause: DirectoryLocked): Promise<Complaint> {
  const processId = await readFile(join(dir, 'lock.pid'), 'utf8').then(
    (text) => text.trim(),
    () => '',
  )
  const who = processId === '' ? '' : `, pid ${processId}`
  return new Complaint(
    'refused',
    `Burrow is already running${who}: it uses state directory "${dir}"; stop it first ("systemctl stop burrow" for a service), or give this one another directory with "state": { "dir": … }`,
    { cause },
  )
}
