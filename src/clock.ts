/** Time as an argument, so that tests can set it. */

export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number
  /**
   * Runs the action once after so many milliseconds; the returned function cancels it. Does not keep the process
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
