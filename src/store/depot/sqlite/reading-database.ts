/** A connection that only reads: each look-up sees what was committed before it. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'

import type { Queryable } from './queries.ts'
import type { Row } from './writing-database.ts'

export class ReadingDatabase implements Queryable, Disposable {
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly #version: StatementSync

  constructor(file: string) {
    this.#database = new DatabaseSync(file, { readOnly: true, timeout: 5000 })
    this.#version = this.#database.prepare('PRAGMA data_version')
  }

  /** Another number whenever the other connection has committed anything. */
  dataVersion(): number {
    return Number((this.#version.get() as Row).data_version)
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[]
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined
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
