/**
 * Leaves an upstream that is ill alone for a while: after a few failures in a row nothing is asked for some seconds,
 * then one question; each further failure doubles the time.
 */

const failuresBefore = 3
const firstPauseMs = 5_000
const longestPauseMs = 300_000

export class CircuitBreaker {
  readonly #now: () => number
  #failures = 0
  #closedUntilMs = Number.NEGATIVE_INFINITY
  #problem: string | undefined

  /** @param now milliseconds of a steady clock */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Why it is left alone, or was last time; undefined while all is well. */
  get problem(): string | undefined {
    return this.#failures >= failuresBefore ? this.#problem : undefined
  }

  /** True when it may be asked. While it is being left alone, one call in each pause gets a true. */
  mayAsk(): boolean {
    if (this.#failures < failuresBefore) return true
    if (this.#now() < this.#closedUntilMs) return false
    // Until the answer to this one is known the others wait for the next pause.
    this.#closedUntilMs = this.#now() + this.#pauseMs()
    return true
  }

  /** Returns true when it was ill before. */
  succeeded(): boolean {
    const wasIll = this.#failures >= failuresBefore
    this.#failures = 0
    return wasIll
  }

  /** Returns true when it is ill from now on. */
  failed(problem: string): boolean {
    this.#problem = problem
    this.#failures++
    this.#closedUntilMs = this.#now() + this.#pauseMs()
    return this.#failures === failuresBefore
  }

  #pauseMs(): number {
    return Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(16, Math.max(0, this.#failures - failuresBefore)))
  }
}
