/**
 * The clock of a tunnel under test: turned by hand, and waited for where a timer is the sign that something has
 * happened.
 */
import { ManualClock } from '../../manual-clock.ts'

export class TestClock extends ManualClock {
  readonly #counts = new Map<number, number>()
  readonly #waiting = new Set<(ms: number) => void>()

  random = (): number => 0.5

  override after(ms: number, callback: () => void): () => void {
    const cancel = super.after(ms, callback)
    this.#counts.set(ms, this.count(ms) + 1)
    for (const look of [...this.#waiting]) look(ms)
    return cancel
  }

  /** How many timers of that length were ever set. */
  count(ms: number): number {
    return this.#counts.get(ms) ?? 0
  }

  /** Resolves when next a timer of that length is set. */
  set(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const look = (setMs: number) => {
        if (setMs !== ms) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }
}
