/** Timers by name, of each name at most one. Each is started by a function that returns how it is cancelled. */
export class NamedTimers<Name extends string> {
  readonly #cancels = new Map<Name, () => void>()

  /** Does nothing if the timer was started and not cancelled. */
  start(name: Name, start: () => () => void): void {
    if (!this.#cancels.has(name)) this.#cancels.set(name, start())
  }

  cancel(name: Name): void {
    this.#cancels.get(name)?.()
    this.#cancels.delete(name)
  }

  cancelAll(): void {
    for (const cancel of this.#cancels.values()) cancel()
  }

  /** Runs the timer as long as the condition holds. */
  runWhile(name: Name, isSo: boolean, start: () => () => void): void {
    if (isSo) this.start(name, start)
    else this.cancel(name)
  }
}
