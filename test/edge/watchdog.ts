/** The edge's patience with a silent origin: fires once when it has been armed for so long without being disarmed. */
export class Watchdog {
  hasFired = false
  readonly #ms: number
  readonly #fire: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(ms: number, fire: () => void) {
    this.#ms = ms
    this.#fire = fire
  }

  /** Starts, or starts anew. */
  arm(): void {
    this.disarm()
    if (this.hasFired) return
    this.#timer = setTimeout(() => {
      this.hasFired = true
      this.#fire()
    }, this.#ms)
  }

  disarm(): void {
    clearTimeout(this.#timer)
  }
}
