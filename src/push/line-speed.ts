/** How fast a line carries requests that overlap: their bytes, over the time in which at least one was under way. */
export class LineSpeed {
  readonly #now: () => number
  #underWay = 0
  #busySinceMs = 0
  #busyMs = 0
  #bytes = 0

  /** `now`: milliseconds of a steady clock. */
  constructor(now: () => number) {
    this.#now = now
  }

  begin(): void {
    if (this.#underWay++ === 0) this.#busySinceMs = this.#now()
  }

  /** `bytes`: what went over the line since the matching `begin`. */
  end(bytes: number): void {
    this.#bytes += bytes
    if (--this.#underWay === 0) this.#busyMs += this.#now() - this.#busySinceMs
  }

  /** Undefined as long as too little was sent to tell. Meaningful between requests. */
  get bitsPerSecond(): number | undefined {
    return this.#busyMs < leastMs ? undefined : (this.#bytes * 8) / (this.#busyMs / 1000)
  }
}

const leastMs = 2000
