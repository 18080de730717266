/**
 * The files of a SQLite database as the file system shows them: `db.sqlite`, `db.sqlite-wal` and `-shm` (WAL mode),
 * `db.sqlite-journal` (otherwise). Without the locks of SQLite a database may be read only while nothing writes, which
 * is: both logs absent or empty, and the main file untouched.
 */
import { statSync } from 'node:fs'

export interface FileIdentity {
  readonly device: number
  readonly inode: number
}

/** Does not change while the main file is not written. */
export interface FileState extends FileIdentity {
  readonly bytes: bigint
  readonly modifiedNs: bigint
  readonly changedNs: bigint
}

/** Undefined when there is no such file. @throws on any other failure, such as a directory that may not be entered */
export function readFileState(file: string): FileState | undefined {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false })
  return (
    stat && {
      device: Number(stat.dev),
      inode: Number(stat.ino),
      bytes: stat.size,
      modifiedNs: stat.mtimeNs,
      changedNs: stat.ctimeNs,
    }
  )
}

/**
 * A database in use, main file and logs, in one line that changes when one of them is replaced, deleted, or (the main
 * file) written to.
 */
export interface LiveFiles {
  readonly main: string
  readonly logs: string
}

/**
 * Undefined when there is no main file. At a few microseconds: for every turn of the event loop. @throws as
 * `readFileState`
 */
export function readLiveFiles(database: string): LiveFiles | undefined {
  const stat = statSync(database, { throwIfNoEntry: false })
  return (
    stat && {
      main: `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`,
      logs: `${inodeOf(`${database}-wal`)} ${inodeOf(`${database}-shm`)}`,
    }
  )
}

function inodeOf(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false })
  return stat === undefined ? 'absent' : `${stat.dev} ${stat.ino}`
}

export function isSameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.inode === b.inode && a.device === b.device
}

export function isSameState(a: FileState, b: FileState): boolean {
  return isSameFile(a, b) && a.bytes === b.bytes && a.modifiedNs === b.modifiedNs && a.changedNs === b.changedNs
}

/**
 * True when neither log holds anything: then the main file is the whole database and no process is in the middle of a
 * change.
 */
export function isQuiet(database: string): boolean {
  return isAbsentOrEmpty(`${database}-wal`) && isAbsentOrEmpty(`${database}-journal`)
}

function isAbsentOrEmpty(file: string): boolean {
  const stat = statSync(file, { throwIfNoEntry: false })
  return stat === undefined || stat.size === 0
}
