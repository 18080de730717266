/** How fast bodies arrive over a line, of late. */

/** A longer silence was not the line's: nothing was asked for. */
const longestGapMs = 500
const enoughBytes = 512 * 1024
const forgottenBytes = 32 * 1024 * 1024

export class LinePace {
  readonly #now: () => number
  #lastAtMs = Number.NEGATIVE_INFINITY
  /** While bodies arrived: bytes and the time they took, both fading. */
  #bytes = 0
  #ms = 0

  /** `now`: milliseconds of a steady clock. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Bytes that have just arrived; 0 for a header. */
  add(bytes: number): void {
    const nowMs = this.#now()
    const passedMs = nowMs - this.#lastAtMs
    this.#lastAtMs = nowMs
    if (bytes === 0 || passedMs > longestGapMs) return
    this.#bytes += bytes
    this.#ms += passedMs
    if (this.#bytes < forgottenBytes) return
    this.#bytes /= 2
    this.#ms /= 2
  }

  /** Undefined before there was enough to tell. */
  get bytesPerSecond(): number | undefined {
    return this.#bytes < enoughBytes ? undefined : this.#bytes / (Math.max(1, this.#ms) / 1000)
  }
}
