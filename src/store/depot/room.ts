/**
 * Room: what is here and on its way never takes more than `maxBytes`, and leaves the disk `keepFree`. Room is reserved
 * before a body is read; from 95 % on, what nothing keeps is evicted down to 90 %.
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
/** Others may take the room that was made: so often it is made once more. */
const attempts = 5

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

  /**
   * Returns the function that gives the room back, when the bytes are counted otherwise or gone. @throws {Refused}
   * no-room
   */
  async reserve(bytes: number): Promise<() => void> {
    const { maxBytes } = this.#options
    if (bytes > maxBytes) throw this.#refusal(bytes, 'the cache holds', maxBytes)
    const over = (share: number) => this.#records.state('bytes') + this.#reserved + bytes - maxBytes * share
    for (let attempt = 0; ; attempt++) {
      const before = this.#records.state('bytes')
      if (over(evictFrom) > 0) await this.#makeRoom(async () => over(evictTo))
      await this.#makeRoom(async () => bytes - (await this.#diskBytes()))
      const free = await this.#diskBytes()
      // From here on without waiting: of two that see the same room only one gets it, and the other looks again.
      if (over(1) <= 0 && bytes <= free) break
      if (attempt < attempts && this.#records.state('bytes') < before) continue
      if (over(1) <= 0) throw this.#refusal(bytes, 'its disk has left', Math.max(0, free))
      throw this.#refusal(
        bytes,
        `${this.#records.state('bytes')} bytes of it are in use and none may be evicted; the cache holds`,
        maxBytes,
      )
    }
    this.#reserved += bytes
    let isReserved = true
    return () => {
      if (isReserved) this.#reserved -= bytes
      isReserved = false
    }
  }

  /**
   * Of two that need room at once the second looks again when the first is done: what was evicted for one may do for
   * both.
   */
  async #makeRoom(lacking: () => Promise<number>): Promise<void> {
    while (this.#evicting !== undefined) await this.#evicting
    const bytes = await lacking()
    if (bytes <= 0) return
    // Another may have begun while this one looked.
    if (this.#evicting !== undefined) return await this.#makeRoom(lacking)
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
      `This cache has no room for ${bytes} bytes: ${what} ${limit} bytes. Remove pins you no longer need, or ask its administrator for more space`,
    )
  }
}
