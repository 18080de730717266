/**
 * The records of valid paths. Those that Nix would not write (foreign paths, no hash, no size, as rows of very old
 * versions have) count as absent.
 */
import type { Log } from '../../log.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import type { StoreDatabase } from './database.ts'
import { type StoreRecord, type StoreRow, toStoreRecord } from './database-row.ts'

/** Unservable records that were reported, so that the log does not repeat them with every request. */
const maxReported = 1000

/** Each look-up throws the fault store-unavailable. */
export class StoreRecords {
  readonly #database: StoreDatabase
  readonly #storeDir: string
  readonly #log: Log
  readonly #reported = new Set<string>()

  constructor(database: StoreDatabase, storeDir: string, log: Log) {
    this.#database = database
    this.#storeDir = storeDir
    this.#log = log
  }

  find(storePath: string): StoreRecord | undefined {
    const record = this.findByHashPart(hashPartOf(storePath))
    return record?.info.storePath === storePath ? record : undefined
  }

  findByHashPart(hashPart: string): StoreRecord | undefined {
    // "." follows "-" in ASCII: the range contains what begins with the hash part and a dash.
    const start = `${this.#storeDir}/${hashPart}`
    const row = this.#readRow(`${start}-`, `${start}.`)
    if (!row) return undefined
    const record = toStoreRecord(row, this.#storeDir)
    if (typeof record === 'object') return record
    this.#report(start, record)
    return undefined
  }

  #readRow(from: string, below: string): StoreRow | undefined {
    try {
      return this.#database.use((connection) => connection.pathInfoRow(from, below)) as StoreRow | undefined
    } catch (error) {
      // An integer that no JavaScript number can hold.
      if ((error as NodeJS.ErrnoException).code !== 'ERR_OUT_OF_RANGE') throw error
      this.#report(from, 'a number is out of range')
      return undefined
    }
  }

  #report(start: string, reason: string): void {
    if (this.#reported.has(start)) return
    if (this.#reported.size >= maxReported) this.#reported.clear()
    this.#reported.add(start)
    this.#log.warn({ record: start, reason }, 'A record of the store database cannot be served: it counts as absent')
  }
}
