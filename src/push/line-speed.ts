/** Measures the throughput of overlapping requests: their bytes, divided by the time during which any was running. */
export class LineSpeed {
  readonly #now: () => number
  #running = 0
  #busySinceMs = 0
  #busyMs = 0
  #bytes = 0

  /** `now`: milliseconds of a monotonic clock. */
  constructor(now: () => number) {
    this.#now = now
  }

  begin(): void {
    if (this.#running++ === 0) this.#busySinceMs = this.#now()
  }

  /** `bytes`: sent since the matching `begin`. */
  end(bytes: number): void {
    this.#bytes += bytes
    if (--this.#running === 0) this.#busyMs += this.#now() - this.#busySinceMs
  }

  /** Undefined until there are two seconds of measurements. Requests that are still running do not count. */
  get bitsPerSecond(): number | undefined {
    return this.#busyMs < leastMs ? undefined : (this.#bytes * 8) / (this.#busyMs / 1000)
  }
}

const leastMs = 2000
