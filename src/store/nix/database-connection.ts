/**
 * One open, read-only connection to the store's SQLite database, in one of two ways:
 * - `live`: beside Nix's own processes, through the WAL and SQLite's locks; sees each commit.
 * - `still`: `immutable=1`, no locks at all, for a reader who may not make the missing `-shm` (or for a database
 *   without a WAL, whose
 *   dot-file locks of Nix a reader cannot take): each query counts only if nothing wrote before, during and after it.
 */
import { realpathSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'

import {
  type FileState,
  isQuiet,
  isSameFile,
  isSameState,
  type LiveFiles,
  readFileState,
  readLiveFiles,
} from './database-files.ts'
import { pathInfoQuery } from './database-row.ts'
import { requireKnownSchema } from './database-schema.ts'

/** The columns in the order of the query. */
export type Row = readonly unknown[]

export type ConnectionKind = 'live' | 'still'

/** The database is not what it was when it was opened: open it again. */
export class Disturbed extends Error {
  override readonly name = 'Disturbed'
}

/**
 * Readers wait only while the last closer of the WAL or a recovery holds the exclusive lock; the event loop waits with
 * them.
 */
const busyTimeoutMs = 100
/** Negative: KiB. The upper pages of the indexes of a large store stay in memory. */
const cacheSize = -16_384
const isGone = 'the file no longer exists'

export class DatabaseConnection implements Disposable {
  readonly kind: ConnectionKind
  readonly #file: string
  readonly #target: string
  readonly #state: FileState
  readonly #database: DatabaseSync
  readonly #dataVersion: StatementSync
  readonly #pathInfo: StatementSync
  readonly #others = new Map<string, StatementSync>()
  readonly #liveFiles: LiveFiles | undefined

  /** @throws {Disturbed | UnknownSchema} or SQLite's own error (`errcode`) */
  constructor(file: string, kind: ConnectionKind) {
    const state = readFileState(file)
    if (!state) throw new Disturbed('there is no such file')
    this.#file = file
    // SQLite keeps the logs beside the file itself, not beside a link to it.
    this.#target = realpathSync(file)
    this.kind = kind
    this.#state = state
    const main = readLiveFiles(this.#target)?.main
    if (kind === 'still' && !isQuiet(this.#target)) throw new Disturbed('it is being written')
    const url = pathToFileURL(this.#target)
    url.searchParams.set('immutable', '1')
    this.#database = new DatabaseSync(kind === 'still' ? url : file, { readOnly: true, timeout: busyTimeoutMs })
    try {
      requireKnownSchema(file, (sql) => this.#prepare(sql).all() as unknown as readonly Row[])
      this.#database.exec(`PRAGMA cache_size = ${cacheSize}`)
      this.#dataVersion = this.#prepare('PRAGMA data_version')
      this.#pathInfo = this.#prepare(pathInfoQuery)
      if (kind === 'live' && firstColumn(this.#prepare('PRAGMA journal_mode').get()) !== 'wal')
        throw new Disturbed('it has no write-ahead log')
      if (kind === 'still') this.pulse()
      else this.#liveFiles = this.#readUnreplaced(state, main)
    } catch (error) {
      this.#database.close()
      throw error
    }
  }

  /** The main file as it was before it was opened; the logs after the first query, with which SQLite makes them. */
  #readUnreplaced(opened: FileState, main: string | undefined): LiveFiles {
    this.dataVersion()
    const files = readLiveFiles(this.#target)
    const state = readFileState(this.#file)
    if (!files || !state) throw new Disturbed(isGone)
    if (!isSameFile(state, opened)) throw new Disturbed('it was replaced by another file')
    return { logs: files.logs, main: main ?? files.main }
  }

  /**
   * A number that changes with every commit of another process. For a still connection it is constant, since any change
   * ends the connection.
   * @throws {Disturbed} the file was replaced or removed, or another process writes or wrote it
   */
  pulse(): number {
    if (this.kind === 'still') {
      const state = readFileState(this.#file)
      if (!state) throw new Disturbed(isGone)
      if (!isSameState(state, this.#state) || !isQuiet(this.#target)) throw new Disturbed('it is being written')
      return 0
    }
    // Through the link, if it is one: that may name another file by now.
    const files = readLiveFiles(this.#file === this.#target ? this.#target : realPath(this.#file))
    if (!files) throw new Disturbed(isGone)
    if (files.logs !== this.#liveFiles?.logs) throw new Disturbed('its logs were replaced')
    // A checkpoint, or a backup copied over it, which moves no version: what SQLite remembers of it may be stale.
    if (files.main !== this.#liveFiles.main) throw new Disturbed('it was replaced, or written to')
    return this.dataVersion()
  }

  /** As `pulse`, for a connection that was opened in this turn: its files are not looked at again. */
  dataVersion(): number {
    return this.kind === 'still' ? 0 : (firstColumn(this.#dataVersion.get()) as number)
  }

  /** The row of `pathInfoQuery` for the first path within the bounds. @throws {Disturbed} */
  pathInfoRow(from: string, below: string): Row | undefined {
    return this.#settled(() => this.#pathInfo.get(from, below)) as Row | undefined
  }

  /** All rows of any other query, as arrays. @throws {Disturbed} */
  all(sql: string, ...values: string[]): readonly Row[] {
    return this.#settled(() => {
      let statement = this.#others.get(sql)
      if (!statement) {
        statement = this.#prepare(sql)
        this.#others.set(sql, statement)
      }
      return statement.all(...values)
    }) as unknown as readonly Row[]
  }

  /** Calls back with each row of a query, without holding all of them. @throws {Disturbed} */
  each(sql: string, onRow: (row: Row) => void): void {
    this.#settled(() => {
      for (const row of this.#prepare(sql).iterate()) onRow(row as unknown as Row)
    })
  }

  /** Several queries that see one state of the database. Synchronous; not nested. @throws {Disturbed} */
  snapshot<T>(read: () => T): T {
    if (this.kind === 'still') return this.#settled(read)
    this.#database.exec('BEGIN')
    try {
      return read()
    } finally {
      this.#database.exec('ROLLBACK')
    }
  }

  #settled<T>(query: () => T): T {
    if (this.kind === 'live') return query()
    this.pulse()
    const answer = query()
    this.pulse()
    return answer
  }

  #prepare(sql: string): StatementSync {
    const statement = this.#database.prepare(sql)
    statement.setReturnArrays(true)
    return statement
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }
}

function firstColumn(row: object | undefined): unknown {
  return (row as unknown as Row | undefined)?.[0]
}

function realPath(file: string): string {
  try {
    return realpathSync(file)
  } catch {
    return file
  }
}
