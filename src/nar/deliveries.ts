/**
 * Bounds what is given out in one turn of the event loop: whoever takes a chunk writes it to a socket on the spot, and meanwhile nobody else is answered.
 */

/** About half a millisecond of writing. */
const turnBytes = 1024 * 1024

export interface Deliverer {
  /** Gives out one chunk if there is one and somebody wants it; returns its bytes. */
  deliver(): number
}

export class Deliveries {
  #left = turnBytes
  #isScheduled = false
  readonly #waiting = new Set<Deliverer>()

  /** Lets it deliver now, or in a later turn. */
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
