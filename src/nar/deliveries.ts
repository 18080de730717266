/**
 * Limits the bytes that are delivered per event loop iteration. Consumers write each chunk to a socket immediately,
 * which blocks all other requests.
 */

/** About half a millisecond of socket writes. */
const turnBytes = 1024 * 1024

export interface Deliverer {
  /** Delivers one chunk if one is queued and requested. Returns its size in bytes. */
  deliver(): number
}

export class Deliveries {
  #left = turnBytes
  #isScheduled = false
  readonly #waiting = new Set<Deliverer>()

  /** Lets the deliverer run now or in a later event loop iteration. */
  offer(deliverer: Deliverer): void {
    if (this.#left <= 0) {
      this.#waiting.add(deliverer)
      return
    }
    this.#left -= deliverer.deliver()
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#left = turnBytes
      for (const deliverer of this.#waiting) {
        if (this.#left <= 0) break
        this.#waiting.delete(deliverer)
        this.#left -= deliverer.deliver()
      }
      if (this.#left < turnBytes) this.#schedule()
    })
  }
}
