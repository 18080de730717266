/** Runs tasks in the background with limited concurrency. After the first failure no more are started. */
export class TaskGroup {
  readonly #permits: number
  #running = 0
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void)[] = []

  constructor(permits: number) {
    this.#permits = permits
  }

  /** Resolves when a task may start. Rejects with the first failure of any task. */
  async untilFree(): Promise<void> {
    await this.#until(() => this.#running < this.#permits)
  }

  /** Starts the task as soon as it may, and resolves then. */
  async run(work: () => Promise<void>): Promise<void> {
    await this.untilFree()
    this.start(work)
  }

  /** Starts the task at once. */
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

  /** Resolves when all tasks have ended, or rejects then with the first failure. */
  async drain(): Promise<void> {
    while (this.#running > 0) await new Promise<void>((resolve) => this.#wake.push(resolve))
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Allows new tasks after `drain` has rejected. */
  forgetFailure(): void {
    this.#failure = undefined
  }

  async #until(isTrue: () => boolean): Promise<void> {
    while (this.#failure === undefined && !isTrue()) await new Promise<void>((resolve) => this.#wake.push(resolve))
    // Running tasks may still use resources that the caller releases after a failure.
    if (this.#failure !== undefined) await this.drain()
  }
}
