/** So many at once, the others first come, first served. */
export class Semaphore {
  #free: number
  /** How many are under way. */
  granted = 0
  readonly #waiting = new Set<() => void>()

  constructor(count: number) {
    this.#free = count
  }

  /** Calls `granted`, at once or later. Each grant is given back by `release`. Asking again with the same function while it waits changes nothing. */
  request(granted: () => void): void {
    if (this.#free === 0) {
      this.#waiting.add(granted)
      return
    }
    this.#free--
    this.granted++
    granted()
  }

  /** Takes a waiting request back; false when it was granted already (or never made). */
  cancel(granted: () => void): boolean {
    return this.#waiting.delete(granted)
  }

  release(): void {
    for (const next of this.#waiting) {
      this.#waiting.delete(next)
      next()
      return
    }
    this.#free++
    this.granted--
  }
}
