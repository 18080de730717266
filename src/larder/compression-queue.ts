/** Lets so many work at once and the others wait in order: each compression holds megabytes of memory. */
export class CompressionQueue {
  readonly #max: number
  readonly #working = new Set<object>()
  readonly #waiting = new Map<object, () => void>()

  constructor(max: number) {
    this.#max = max
  }

  get count(): number {
    return this.#working.size + this.#waiting.size
  }

  async begin(worker: object): Promise<void> {
    if (this.#working.size < this.#max) this.#working.add(worker)
    else await new Promise<void>((resolve) => this.#waiting.set(worker, resolve))
  }

  /** Lets a waiting one go on out of turn, because it is only going to say that it gave up. */
  skip(worker: object): void {
    const resolve = this.#waiting.get(worker)
    this.#waiting.delete(worker)
    resolve?.()
  }

  end(worker: object): void {
    this.#working.delete(worker)
    for (const [next, resolve] of this.#waiting) {
      if (this.#working.size >= this.#max) return
      this.#waiting.delete(next)
      this.#working.add(next)
      resolve()
    }
  }
}
