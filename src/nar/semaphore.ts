/** Counting semaphore, FIFO. */
export class Semaphore {
  #free: number
  /** Number of grants in use. */
  granted = 0
  readonly #waiting = new Set<() => void>()

  constructor(count: number) {
    this.#free = count
  }

  /**
   * Calls `granted` now or later. Each grant must be returned with `release`. A repeated request with the same waiting
   * function has no effect.
   */
  request(granted: () => void): void {
    if (this.#free === 0) {
      this.#waiting.add(granted)
      return
    }
    this.#free--
    this.granted++
    granted()
  }

  /** Does the work under a grant. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    await new Promise<void>((resolve) => this.request(resolve))
    try {
      return await work()
    } finally {
      this.release()
    }
  }

  /** Cancels a waiting request. Returns false if it was already granted (or never made). */
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
