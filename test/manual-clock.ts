/** A clock that a test turns: timers run in their order when `advance` passes them. */
import type { Clock } from '../src/clock.ts'

export class ManualClock implements Clock {
  #nowMs = 1_000_000
  readonly #timers = new Set<{ readonly atMs: number; readonly action: () => void }>()

  readonly now = (): number => this.#nowMs

  after(delayMs: number, action: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, action }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  get pending(): number {
    return this.#timers.size
  }

  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs
    for (;;) {
      const next = [...this.#timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (!next) break
      this.#timers.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.action()
    }
    this.#nowMs = endMs
  }
}
