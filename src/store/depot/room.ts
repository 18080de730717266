/**
 * Room: what is here and on its way never takes more than `maxBytes`, and leaves the disk `keepFree`. Room is reserved before a body is read; from 95 % on,
 * what nothing keeps is evicted down to 90 %.
 */
import { statfs } from 'node:fs/promises'

import type { Queries } from './sqlite/queries.ts'
import { Refused } from './types.ts'

export interface RoomOptions {
  readonly dir: string
  readonly maxBytes: number
  readonly keepFree: number
}

const evictFrom = 0.95
const evictTo = 0.9

export class Room {
  readonly #options: RoomOptions
  readonly #records: Queries
  readonly #evict: (wantedBytes: number) => Promise<void>
  #reserved = 0
  #evicting: Promise<void> | undefined

  /** `evict` frees so many bytes, or as many as it may. */
  constructor(options: RoomOptions, records: Queries, evict: (wantedBytes: number) => Promise<void>) {
    this.#options = options
    this.#records = records
    this.#evict = evict
  }

  /** Returns the function that gives the room back, when the bytes are counted otherwise or gone. @throws {Refused} no-room */
  async reserve(bytes: number): Promise<() => void> {
    const { maxBytes } = this.#options
    if (bytes > maxBytes) throw this.#refusal(bytes, 'the cache holds', maxBytes)
    const over = (share: number) => this.#records.state('bytes') + this.#reserved + bytes - maxBytes * share
    if (over(evictFrom) > 0) await this.#makeRoom(over(evictTo))
    const lacking = bytes - (await this.#diskBytes())
    if (lacking > 0) await this.#makeRoom(lacking)
    const free = await this.#diskBytes()
    // From here on without waiting: of two that see the same room only one gets it.
    if (over(1) > 0) throw this.#refusal(bytes, `${this.#records.state('bytes')} bytes of it are in use and none may be evicted; the cache holds`, maxBytes)
    if (bytes > free) throw this.#refusal(bytes, 'its disk has left', Math.max(0, free))
    this.#reserved += bytes
    let isReserved = true
    return () => {
      if (isReserved) this.#reserved -= bytes
      isReserved = false
    }
  }

  async #makeRoom(bytes: number): Promise<void> {
    // Two that need room at once: the second looks again when the first is done.
    while (this.#evicting !== undefined) await this.#evicting
    this.#evicting = this.#evict(bytes).finally(() => (this.#evicting = undefined))
    await this.#evicting
  }

  async #diskBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#options.dir)
    return bavail * bsize - this.#options.keepFree - this.#reserved
  }

  #refusal(bytes: number, what: string, limit: number): Refused {
    return new Refused(
      'no-room',
      `This cache has no room for ${bytes} bytes: ${what} ${limit} bytes. Unpin what is not needed, or ask its administrator for more`,
    )
  }
}
