/**
 * What is known of each user's requests, in memory: read once from the file, then kept up to date by every batch, so that
 * lists of users need not wait for a thread.
 */
import type { UserActivity } from '../../src/index.ts'
import type { Batch } from './batch.ts'

export interface ActivityRow {
  readonly user: string
  lastAt: number
  requests: number
  sentBytes: number
  receivedBytes: number
  network: string | undefined
  networkAt: number
}

/** More than the file has, so that memory is bounded while it cannot be written. */
const maxUsers = 2000
const dayMs = 86_400_000

export class Activity {
  readonly #rows = new Map<string, ActivityRow>()
  readonly #keepAddressesMs: number

  constructor(keepAddressesDays: number) {
    this.#keepAddressesMs = keepAddressesDays * dayMs
  }

  /** Adds what the file has; batches may have been added before. */
  addRows(rows: readonly ActivityRow[]): void {
    for (const stored of rows) {
      const row = this.#rowOf(stored.user)
      if (row === undefined) continue
      row.requests += stored.requests
      row.sentBytes += stored.sentBytes
      row.receivedBytes += stored.receivedBytes
      row.lastAt = Math.max(row.lastAt, stored.lastAt)
      if (stored.networkAt <= row.networkAt) continue
      row.network = stored.network
      row.networkAt = stored.networkAt
    }
  }

  addBatch({ at, users }: Batch): void {
    for (const { user, requests, bytes, receivedBytes, networks } of users) {
      const row = this.#rowOf(user)
      if (row === undefined) continue
      row.requests += requests
      row.sentBytes += bytes
      row.receivedBytes += receivedBytes
      row.lastAt = at
      for (const network of networks) Object.assign(row, { network, networkAt: at })
    }
  }

  read(now: number): ReadonlyMap<string, UserActivity> {
    const entries = [...this.#rows.values()].map(
      ({ user, lastAt, requests, sentBytes, receivedBytes, network, networkAt }) => {
        const address = networkAt > now - this.#keepAddressesMs ? network : undefined
        return [user, { lastSeen: new Date(lastAt), requests, sentBytes, receivedBytes, address }] as const
      },
    )
    return new Map(entries)
  }

  #rowOf(user: string): ActivityRow | undefined {
    const known = this.#rows.get(user)
    if (known !== undefined || this.#rows.size >= maxUsers) return known
    const row = { user, lastAt: 0, requests: 0, sentBytes: 0, receivedBytes: 0, network: undefined, networkAt: 0 }
    this.#rows.set(user, row)
    return row
  }
}
