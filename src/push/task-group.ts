/** Work that is started and not waited for at once, so many at a time; the first failure ends it all. */
export class TaskGroup {
  readonly #permits: number
  #running = 0
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void)[] = []

  constructor(permits: number) {
    this.#permits = permits
  }

  /** Resolves when one more may start. Rejects with the first failure of the work. */
  async untilFree(): Promise<void> {
    await this.#until(() => this.#running < this.#permits)
  }

  /** Starts the work when there is room, and resolves then. */
  async run(work: () => Promise<void>): Promise<void> {
    await this.untilFree()
    this.start(work)
  }

  /** Starts the work at once. */
  start(work: () => Promise<void>): void {
    this.#running++
    work()
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => {
        this.#running--
        for (const wake of this.#wake.splice(0)) wake()
      })
  }

  /** Resolves when nothing is under way any more. Rejects then with the first failure. */
  async drain(): Promise<void> {
    while (this.#running > 0) await new Promise<void>((resolve) => this.#wake.push(resolve))
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** After `drain` has rejected: work may be started again. */
  forgetFailure(): void {
    this.#failure = undefined
  }

  async #until(isTrue: () => boolean): Promise<void> {
    while (this.#failure === undefined && !isTrue()) await new Promise<void>((resolve) => this.#wake.push(resolve))
    // What is under way still uses what its caller holds.
    if (this.#failure !== undefined) await this.drain()
  }
}
