/** A count, and promises for when it has come so far: what a test waits for instead of sleeping. */
export class Milestones {
  #count = 0
  readonly #waiting = new Set<{ readonly at: number; readonly resolve: () => void }>()

  get count(): number {
    return this.#count
  }

  /** The count is now this; it may have fallen. */
  reach(count: number): void {
    this.#count = count
    for (const wait of this.#waiting) {
      if (wait.at > count) continue
      this.#waiting.delete(wait)
      wait.resolve()
    }
  }

  /** Resolves at once when the count is `at` or more already. */
  reached(at: number): Promise<void> {
    if (this.#count >= at) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.add({ at, resolve }))
  }
}
