/** Values that are good for a time. The oldest go when there are too many. */
export class ExpiringMap<Value> {
  readonly #maxEntries: number
  readonly #now: () => number
  readonly #entries = new Map<string, { readonly value: Value; readonly endMs: number }>()

  constructor(maxEntries: number, now: () => number) {
    this.#maxEntries = maxEntries
    this.#now = now
  }

  get size(): number {
    return this.#entries.size
  }

  find(key: string): Value | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || this.#now() < entry.endMs) return entry?.value
    this.#entries.delete(key)
    return undefined
  }

  set(key: string, value: Value, lifetimeMs: number): void {
    this.#entries.delete(key)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size < this.#maxEntries) break
      this.#entries.delete(oldest)
    }
    this.#entries.set(key, { value, endMs: this.#now() + lifetimeMs })
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }
}
