/**
 * Why the store's database cannot be read, in words an operator can act on. SQLite itself says "unable to open database
 * file" for most of it.
 *
 *   Cannot open store database "/nix/var/nix/db/db.sqlite": user "burrow" (uid 990) may not read it (owner uid 0, mode
 * 0600); grant it, for example with "setfacl -m u:burrow:r …"
 *
 * Source: sqlite.org/rescode.html; the WAL rules for readers without write access, sqlite.org/wal.html, "Read-Only
 * Databases".
 */
import { accessSync, constants, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname } from 'node:path'

import { Disturbed } from './database-connection.ts'
import { UnknownSchema } from './database-schema.ts'

/** Primary result codes of SQLite: the low byte of `errcode`. */
const sqlite = { busy: 5, locked: 6, readOnly: 8, ioError: 10, corrupt: 11, cannotOpen: 14, notADatabase: 26 }

export interface Diagnosis {
  /** A short code of the problem. It is logged again only when the code changes. */
  readonly kind:
    | 'missing'
    | 'rights'
    | 'no-shm'
    | 'schema'
    | 'corrupt'
    | 'locked'
    | 'busy-writing'
    | 'no-file'
    | 'unreadable'
  readonly message: string
}

/** The primary code of an error of node:sqlite; undefined for any other error. */
function sqliteCodeOf(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | undefined)?.errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

/**
 * True when the reader lacks a `-shm` it may not make, or may not recover the log: another process that has the store
 * open would help.
 */
export function lacksSharedMemory(error: unknown): boolean {
  const code = sqliteCodeOf(error)
  return code === sqlite.readOnly || code === sqlite.cannotOpen
}

/** Of any thrown value. */
export function messageOf(error: unknown): string {
  return (error as { message?: string } | undefined)?.message ?? String(error)
}

/** Looks at the files again, since the error alone is not enough; never throws. */
export function diagnose(file: string, error: unknown): Diagnosis {
  const { kind, reason } = findReason(file, error)
  return { kind, message: `Cannot open store database "${file}": ${reason}` }
}

function findReason(file: string, error: unknown): { kind: Diagnosis['kind']; reason: string } {
  const obstacle = findObstacle(file)
  if (obstacle) return obstacle
  if (error instanceof UnknownSchema) return { kind: 'schema', reason: error.message }
  if (error instanceof Disturbed) return { kind: 'busy-writing', reason: `${error.message}; it is tried again` }
  const said = messageOf(error)
  const code = sqliteCodeOf(error)
  if (code === sqlite.busy || code === sqlite.locked)
    return {
      kind: 'locked',
      reason: `another process keeps it locked (${said}); it is tried again, look for a hanging nix process with "fuser -v ${file}"`,
    }
  if (code === sqlite.corrupt || code === sqlite.notADatabase)
    return {
      kind: 'corrupt',
      reason: `it is damaged (${said}); check it with "sqlite3 ${file} 'pragma integrity_check'" and restore it from a backup if need be`,
    }
  if (code !== undefined && lacksSharedMemory(error)) return { kind: 'no-shm', reason: noSharedMemory(file, said) }
  return { kind: 'unreadable', reason: said }
}

/** What the file system itself has against reading the file or its logs. */
function findObstacle(file: string): { kind: Diagnosis['kind']; reason: string } | undefined {
  try {
    const stat = statSync(file, { throwIfNoEntry: false })
    if (!stat)
      return {
        kind: 'missing',
        reason: 'there is no such file; install Nix on this machine, or set "store.database" to where its database is',
      }
    if (!stat.isFile())
      return { kind: 'no-file', reason: 'it is no regular file; set "store.database" to the file "db.sqlite" itself' }
  } catch {
    const closed = firstClosedDirectory(file)
    return {
      kind: 'rights',
      reason: `${reader()} may not enter directory "${closed}"${describeOwner(closed)}; grant it, for example with "chmod o+x ${closed}"`,
    }
  }
  const unreadable = [file, `${file}-wal`, `${file}-shm`].find((name) => !isReadable(name))
  if (unreadable === undefined) return undefined
  const which = unreadable === file ? 'it' : `"${unreadable}"`
  return {
    kind: 'rights',
    reason: `${reader()} may not read ${which}${describeOwner(unreadable)}; grant it, for example with "chmod o+r ${unreadable}"`,
  }
}

function noSharedMemory(file: string, said: string): string {
  return (
    `"${file}-shm" is missing or stale and ${reader()} may not make it (${said}); ` +
    'let nix-daemon run and its socket be reachable ("store.daemonSocket"), so that a connection to it keeps the file in being'
  )
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

function firstClosedDirectory(file: string): string {
  const parent = dirname(file)
  if (parent === file) return parent
  try {
    statSync(parent)
    return parent
  } catch {
    return firstClosedDirectory(parent)
  }
}

function reader(): string {
  try {
    const { username, uid } = userInfo()
    return `user "${username}" (uid ${uid})`
  } catch {
    // A uid without an entry in the user database, as systemd's DynamicUser and containers have.
    return 'the user Burrow runs as'
  }
}

function describeOwner(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false })
  return stat ? ` (owner uid ${stat.uid}, mode 0${(stat.mode & 0o777).toString(8)})` : ''
}

export function isOfTheDatabase(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code
  // Directories that may not be entered throw at the first look at the file.
  return (
    error instanceof Disturbed ||
    error instanceof UnknownSchema ||
    sqliteCodeOf(error) !== undefined ||
    (typeof code === 'string' && /^E(ACCES|PERM|NOENT|NOTDIR|IO|LOOP|MFILE|NFILE)$/.test(code))
  )
}
