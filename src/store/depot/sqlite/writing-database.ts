/**
 * The one connection that writes. Transactions come one after another; those that wait are put into one commit, each
 * under a savepoint of its own, so that many small pushes share one flush. A transaction is on disk when its promise
 * resolves (WAL, synchronous=FULL).
 */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'

import { Connection } from './connection.ts'
import { prepareSchema } from './schema.ts'

interface Waiting {
  readonly run: () => unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/** So many share a commit: the thread is not held for longer than some milliseconds. */
const maxShared = 64
const sqliteFull = 13

export class WritingDatabase extends Connection {
  #waiting: Waiting[] = []

  constructor(file: string) {
    super(new DatabaseSync(file, { timeout: 5000 }))
    try {
      this.database.exec(
        'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON',
      )
      prepareSchema(this.database, file)
    } catch (error) {
      this.database.close()
      throw error
    }
  }

  /**
   * Runs synchronously inside a transaction; what it throws undoes only itself. Resolves when the commit is on disk.
   */
  transaction<T>(run: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#commitWaiting())
      this.#waiting.push({ run, resolve: resolve as (value: unknown) => void, reject })
    })
  }

  /** Returns the number of changed rows. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.prepare(sql).run(...values).changes)
  }

  insertedId(): number {
    return Number(this.get('select last_insert_rowid() as id')!.id)
  }

  /** A copy of the whole database, consistent, into a file that must not exist. */
  copyInto(file: string): void {
    this.prepare('VACUUM INTO ?').run(file)
  }

  /** Writes the log back into the main file and makes the log small again. */
  checkpoint(): void {
    this.database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  }

  override [Symbol.dispose](): void {
    this.#commitWaiting()
    super[Symbol.dispose]()
  }

  #commitWaiting(): void {
    const now = this.#waiting.splice(0, maxShared)
    if (this.#waiting.length > 0) setImmediate(() => this.#commitWaiting())
    const done: (() => void)[] = []
    try {
      if (now.length === 0) return
      this.database.exec('BEGIN IMMEDIATE')
      for (const waiting of now) done.push(this.#runOne(waiting))
      this.database.exec('COMMIT')
    } catch (error) {
      if (this.database.isTransaction) this.database.exec('ROLLBACK')
      for (const { reject } of now) reject(error)
      return
    }
    for (const settle of done) settle()
  }

  #runOne({ run, resolve, reject }: Waiting): () => void {
    this.database.exec('SAVEPOINT one')
    try {
      const value = run()
      this.database.exec('RELEASE one')
      return () => resolve(value)
    } catch (error) {
      // A full disk has undone the whole transaction already.
      if (!this.database.isTransaction) throw error
      this.database.exec('ROLLBACK TO one; RELEASE one')
      return () => reject(error)
    }
  }
}

/** True when SQLite found the disk full. */
export function isDatabaseFull(error: unknown): boolean {
  return (error as { readonly errcode?: number } | undefined)?.errcode === sqliteFull
}
