/**
 * The job of packing a NAR, or a range of it, for one reader. Within a large file the next slot is read in libuv's pool while this thread hashes the last
 * one, unless a compression is under way: then the pool is busy, and the file is read here.
 */

import type { Fault } from '../faults.ts'
import type { Compressors } from './compressor.ts'
import type { NarSource } from './nar-source.ts'
import { Outlet, type Outlets } from './outlet.ts'
import { type Job, type Scheduler, type StepResult, turnBytes } from './scheduler.ts'

export interface RawJobParts {
  readonly scheduler: Scheduler
  readonly outlets: Outlets
  readonly compressors: Compressors
  readonly job: number
  readonly source: NarSource
}

/** Where the bytes read ahead are going to lie, and how many they were or why they could not be read. */
interface Ahead {
  readonly room: Buffer
  result: number | Fault | undefined
}

export class RawJob implements Job {
  readonly #parts: RawJobParts
  readonly #outlet: Outlet
  readonly #over: () => void
  #ahead: Ahead | undefined
  #isOver = false

  /** @param over called once, when nothing more will come from it */
  constructor(parts: RawJobParts, over: () => void) {
    const { scheduler, outlets, job } = parts
    this.#parts = parts
    this.#outlet = new Outlet(outlets, job, () => scheduler.wake(this))
    this.#over = over
  }

  turn(deadline: number): StepResult {
    if (this.#isOver) return 'over'
    const { source, outlets, job } = this.#parts
    try {
      if (!source.prepare(deadline)) return 'again'
      return this.#ahead ? this.#takeAhead(this.#ahead) : this.#pack(deadline)
    } catch (error) {
      outlets.outbox.addFault(job, error)
      this.#close(error)
      return 'over'
    }
  }

  drop(): void {
    this.#close(undefined)
  }

  #pack(deadline: number): StepResult {
    const { source, scheduler } = this.#parts
    for (let done = 0; done < turnBytes; ) {
      const room = this.#outlet.room(source.remaining)
      if (!room) return 'wait'
      const count = source.read(room, deadline)
      scheduler.charge(count)
      done += count
      const isLast = source.remaining === 0
      this.#outlet.filled(count, isLast)
      if (isLast) {
        this.#close(undefined)
        return 'over'
      }
      if (performance.now() >= deadline) break
    }
    this.#outlet.offer()
    return this.#readAhead() ? 'wait' : 'again'
  }

  /** Begins to read into the next slot, if there is one. */
  #readAhead(): boolean {
    const { source, compressors, scheduler } = this.#parts
    const room = compressors.steps.granted === 0 ? this.#outlet.room(source.remaining) : undefined
    if (!room) return false
    const ahead: Ahead = { room, result: undefined }
    const isBegun = source.readAhead(room, (result) => {
      ahead.result = result
      if (this.#isOver) this.#free(undefined)
      else scheduler.wake(this)
    })
    if (isBegun) this.#ahead = ahead
    return isBegun
  }

  /** What was read ahead is sent, and hashed while the next is read. */
  #takeAhead({ room, result }: Ahead): StepResult {
    const { source, scheduler } = this.#parts
    if (result === undefined) return 'wait'
    this.#ahead = undefined
    if (typeof result !== 'number') throw result
    scheduler.charge(result)
    // Not the last bytes: those are never read ahead. The slot stays as it is during this turn, even if the reader frees it at once.
    this.#outlet.filled(result, false)
    const isReading = this.#readAhead()
    source.take(room.subarray(0, result))
    return isReading ? 'wait' : 'again'
  }

  #close(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    // A read under way still uses the file and the slot: they are freed when it ends.
    if (!this.#ahead || this.#ahead.result !== undefined) this.#free(error)
  }

  #free(error: unknown): void {
    this.#parts.source.close(error)
    this.#outlet.close()
    this.#over()
  }
}
