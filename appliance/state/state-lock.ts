/**
 * One Burrow to a state directory: two would write one another's note of the tunnel, end one another's cloudflared, and
 * answer for one another in `burrow status`.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { DirectoryLocked, type Log, takeDirectoryLock } from '../../src/index.ts'
import { Complaint, reasonOf } from '../complaint.ts'

/** Dispose of the result at the end. @throws {Complaint} refused, naming the process that has the directory */
export async function lockStateDir(dir: string, processId: number, log: Log): Promise<Disposable> {
  try {
    return takeDirectoryLock(dir, processId)
  } catch (error) {
    if (error instanceof DirectoryLocked) throw await complain(dir, error)
    // Some network file systems cannot lock: that alone is no reason not to serve.
    log.warn(
      { dir, reason: reasonOf(error) },
      'Cannot lock the state directory: make sure that no other Burrow uses it',
    )
    return { [Symbol.dispose]() {} }
  }
}

async function complain(dir: string, cause: DirectoryLocked): Promise<Complaint> {
  const processId = await readFile(join(dir, 'lock.pid'), 'utf8').then(
    (text) => text.trim(),
    () => '',
  )
  const who = processId === '' ? '' : `, pid ${processId}`
  return new Complaint(
    'refused',
    `Burrow already runs${who}: it uses state directory "${dir}"; stop it first ("systemctl stop burrow" for a service), or give this one another directory by "state": { "dir": … }`,
    { cause },
  )
}
