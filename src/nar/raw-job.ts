/** The job of packing a NAR, or a range of it, for one reader. */
import type { NarSource } from './nar-source.ts'
import { Outlet, type Outlets } from './outlet.ts'
import { type Job, type TurnResult, type Turns, turnBytes } from './turns.ts'

export class RawJob implements Job {
  readonly #turns: Turns
  readonly #outlets: Outlets
  readonly #source: NarSource
  readonly #outlet: Outlet
  readonly #over: () => void
  #isOver = false

  /** @param over called once, when nothing more will come from it */
  constructor(turns: Turns, outlets: Outlets, id: number, source: NarSource, over: () => void) {
    this.#turns = turns
    this.#outlets = outlets
    this.#source = source
    this.#outlet = new Outlet(outlets, id, () => turns.wake(this))
    this.#over = over
  }

  turn(deadline: number): TurnResult {
    if (this.#isOver) return 'over'
    try {
      if (!this.#source.prepare(deadline)) return 'again'
      return this.#pack(deadline)
    } catch (error) {
      this.#outlets.outbox.addFault(this.#outlet.job, error)
      this.#close(error)
      return 'over'
    }
  }

  drop(): void {
    this.#close(undefined)
  }

  #pack(deadline: number): TurnResult {
    for (let done = 0; done < turnBytes; ) {
      const room = this.#outlet.room(this.#source.remaining)
      if (!room) return 'wait'
      const count = this.#source.read(room, deadline)
      this.#turns.charge(count)
      done += count
      if (this.#source.remaining === 0) {
        this.#outlet.filled(count, true)
        this.#close(undefined)
        return 'over'
      }
      this.#outlet.filled(count, false)
      if (performance.now() >= deadline) break
    }
    this.#outlet.offer()
    return 'again'
  }

  #close(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#source.close(error)
    this.#outlet.close()
    this.#over()
  }
}
