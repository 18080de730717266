/**
 * The lock on a directory: an exclusive SQLite lock on a file in it (`lock`). It is refused while another process (or
 * this one) holds it, and free as soon as the holder has ended, for any reason. `lock.pid` names the holder, for
 * people only: a reader of `lock` itself would end the locks of its own process. The file stays when the lock is given
 * back: a contender that had opened it before would lock a file that no longer has a name.
 */
import { accessSync, constants, lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export class DirectoryLocked extends Error {
  override readonly name = 'DirectoryLocked'
}

const sqliteBusy = 5
const sqliteProtocol = 15
/** SQLITE_IOERR_LOCK */
const sqliteLockFault = 3850

/**
 * Dispose of the result to give the lock back.
 * @throws {DirectoryLocked} naming the process that holds it. Throws the system's or SQLite's error when the directory
 * cannot be written.
 */
export function takeDirectoryLock(dir: string, pid: number): Disposable {
  const pidFile = join(dir, 'lock.pid')
  const lock = tryFileLock(join(dir, 'lock'))
  if (lock === undefined) {
    throw new DirectoryLocked(
      `Cannot use "${dir}": process ${readPid(pidFile)} is using it. Stop that process ("burrow status" shows it), or name another directory`,
    )
  }
  try {
    writeFileSync(pidFile, `${pid}\n`, { mode: 0o600 })
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
  return {
    [Symbol.dispose]() {
      rmSync(pidFile, { force: true })
      lock[Symbol.dispose]()
    },
  }
}

/**
 * The lock without a name on it; `undefined` while another holds it. Throws the system's or SQLite's error when the
 * file cannot be made or locked.
 */
export function tryFileLock(file: string): Disposable | undefined {
  // SQLite opens what it cannot write for reading, and then locks nothing.
  accessSync(dirname(file), constants.W_OK)
  // Burrow's first versions locked with a socket of this name, which outlives a kill.
  if (lstatSync(file, { throwIfNoEntry: false })?.isSocket()) rmSync(file)
  const database = new DatabaseSync(file, { timeout: 0 })
  try {
    // The transaction stays open and writes nothing: it needs no room on the disk.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (isSqliteError(error, sqliteBusy)) return undefined
    throw error
  }
  return { [Symbol.dispose]: () => database.close() }
}

/** True for what SQLite says where the file system has no locks (some network disks). */
export function isWithoutLocks(error: unknown): boolean {
  return isSqliteError(error, sqliteLockFault) || isSqliteError(error, sqliteProtocol)
}

function isSqliteError(error: unknown, code: number): boolean {
  return (error as { readonly errcode?: number }).errcode === code
}

function readPid(pidFile: string): string {
  try {
    return readFileSync(pidFile, 'utf8').trim() || 'unknown'
  } catch {
    return 'unknown'
  }
}
