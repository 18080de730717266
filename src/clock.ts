/** Time as the store's adapters see it, so that tests can turn it by hand. */

export interface Clock {
  /** Milliseconds, steady: never turned back. */
  now(): number
  /**
   * Runs the action once after so many milliseconds; the returned function calls it off. Does not keep the program
   * alive.
   */
  after(delayMs: number, action: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
