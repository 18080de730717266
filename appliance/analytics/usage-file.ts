/**
 * `usage.sqlite` in the state directory: usage figures of the last days (mode 0600, WAL). A damaged file is moved aside,
 * to `usage.sqlite.damaged`, and a new one begun: the figures are not worth a cache that does not start.
 */
import { chmodSync, closeSync, openSync, renameSync, rmSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'

export type Row = Record<string, null | number | bigint | string | Uint8Array>

export const usageFileName = 'usage.sqlite'

/** `hour` and `day` count from 1970, in UTC. Times are milliseconds since 1970. Path 0 and hash part '' stand for others. */
const tables = `
create table user (id integer primary key, name text not null unique, last_at integer not null);
create table hour (
  hour integer not null, user integer not null, requests integer not null, bytes integer not null, downloads integer not null, cut integer not null,
  compression_saved integer not null, delta_saved integer not null, upstream_bytes integer not null, pushed_paths integer not null,
  received_bytes integer not null, primary key (hour, user)) without rowid;

create table path (id integer primary key, base_name text not null unique);
insert into path values (0, '');
create table download (
  day integer not null, path integer not null, user integer not null, downloads integer not null, bytes integer not null, last_at integer not null,
  primary key (day, path, user)) without rowid;
create index download_path on download (path);

create table miss (
  day integer not null, hash_part text not null, user integer not null, asks integer not null, first_at integer not null, last_at integer not null,
  primary key (day, hash_part, user)) without rowid;

create table slow (
  id integer primary key, day integer not null, user integer not null, path integer not null, at integer not null, bytes integer not null,
  duration_ms integer not null, is_complete integer not null);
create index slow_day on slow (day, user);

create table network (user integer not null, network text not null, last_at integer not null, primary key (user, network)) without rowid;
create table tunnel_drop (at integer primary key, until integer, reason text not null);
`
export const schemaVersion = 1

const sqliteCorrupt = 11
const sqliteNotADatabase = 26

/** A connection whose statements are prepared once. */
export class UsageDatabase implements Disposable {
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[]
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined
  }

  /** Returns the number of changed rows. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes)
  }

  /** All or nothing. */
  transaction(work: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      work()
      this.#database.exec('COMMIT')
    } catch (error) {
      // A full disk has undone the transaction already.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  exec(sql: string): void {
    this.#database.exec(sql)
  }

  /** Bytes of the file that are in use. */
  get usedBytes(): number {
    const read = (name: string) => Number(Object.values(this.get(`PRAGMA ${name}`)!)[0])
    return (read('page_count') - read('freelist_count')) * read('page_size')
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}

/** `movedAside`: where the damaged file is now. Throws for a disk that cannot be written, and for a newer schema. */
export function openUsageFile(file: string): { readonly database: UsageDatabase; readonly movedAside?: string } {
  try {
    return { database: open(file) }
  } catch (error) {
    if (!isDamaged(error)) throw error
    const movedAside = moveAside(file)
    return { database: open(file), movedAside }
  }
}

/** For a program that only reads. Throws if the file is missing, damaged or newer. */
export function openUsageFileForReading(file: string): UsageDatabase {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 2000 })
  try {
    if (versionOf(database, file) !== schemaVersion) throw new Error(`"${file}" has no figures yet`)
    return new UsageDatabase(database)
  } catch (error) {
    database.close()
    throw error
  }
}

export function isDamaged(error: unknown): boolean {
  const code = (error as { readonly errcode?: number } | undefined)?.errcode
  return code !== undefined && [sqliteCorrupt, sqliteNotADatabase].includes(code & 0xff)
}

export function moveAside(file: string): string {
  const aside = `${file}.damaged`
  renameSync(file, aside)
  // They belong to the damaged file, and would damage a new one.
  for (const suffix of ['-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true })
  return aside
}

function open(file: string): UsageDatabase {
  // SQLite gives its other files the mode of this one.
  closeSync(openSync(file, 'a', 0o600))
  chmodSync(file, 0o600)
  const database = new DatabaseSync(file, { timeout: 5000 })
  try {
    // Effective only before the first table.
    database.exec('PRAGMA auto_vacuum = INCREMENTAL')
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304')
    if (versionOf(database, file) === 0)
      database.exec(`BEGIN IMMEDIATE; ${tables} PRAGMA user_version = ${schemaVersion}; COMMIT`)
    return new UsageDatabase(database)
  } catch (error) {
    database.close()
    throw error
  }
}

function versionOf(database: DatabaseSync, file: string): number {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
  if (version > schemaVersion)
    throw new Error(`"${file}" was written by a newer Burrow: install that again, or move the file away`)
  return version
}
