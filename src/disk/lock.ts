/**
 * The lock on a directory: an exclusive SQLite lock on the file `lock` in it. It is refused while another process (or this one) holds it, and free as soon as
 * the holder has ended, whatever ended it. `lock.pid` names the holder, for people only: a reader of `lock` itself would end the locks of its own process.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export class DirectoryLocked extends Error {
  override readonly name = 'DirectoryLocked'
}

const sqliteBusy = 5

/**
 * Dispose of the result to give the lock back.
 * @throws {DirectoryLocked} naming the process that holds it. Throws the system's or SQLite's error when the directory cannot be written.
 */
export function takeDirectoryLock(dir: string, pid: number): Disposable {
  const database = new DatabaseSync(join(dir, 'lock'), { timeout: 0 })
  const pidFile = join(dir, 'lock.pid')
  try {
    // With this locking mode the lock stays after the transaction, until the connection is closed.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; PRAGMA user_version = 1; COMMIT')
    writeFileSync(pidFile, `${pid}\n`, { mode: 0o600 })
  } catch (error) {
    database.close()
    if ((error as { readonly errcode?: number }).errcode !== sqliteBusy) throw error
    throw new DirectoryLocked(
      `Cannot use "${dir}": process ${readPid(pidFile)} is using it. Stop that process ("burrow status" shows it), or name another directory`,
    )
  }
  return {
    [Symbol.dispose]() {
      rmSync(pidFile, { force: true })
      database.close()
    },
  }
}

function readPid(pidFile: string): string {
  try {
    return readFileSync(pidFile, 'utf8').trim() || 'unknown'
  } catch {
    return 'unknown'
  }
}
