/**
 * Packs a NAR, or a range of it, for one reader. Within a large file, the next slot is read in libuv's thread pool
 * while this thread hashes the previous one. While a compression is running, the pool is busy and the file is read in
 * this thread.
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

/** Read-ahead buffer, and its result: the number of bytes or the error. */
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

  /** @param over called once, when the job produces no more output */
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

  /** Starts to read into the next slot, if one is free. */
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

  /** Sends the bytes that were read ahead and hashes them while the next read runs. */
  #takeAhead({ room, result }: Ahead): StepResult {
    const { source, scheduler } = this.#parts
    if (result === undefined) return 'wait'
    this.#ahead = undefined
    if (typeof result !== 'number') throw result
    scheduler.charge(result)
    // Never the last bytes, which are not read ahead. The slot stays unchanged until this method returns, even if the
    // reader frees it immediately.
    this.#outlet.filled(result, false)
    const isReading = this.#readAhead()
    source.take(room.subarray(0, result))
    return isReading ? 'wait' : 'again'
  }

  #close(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    // A pending read still uses the file and the slot: both are freed when it ends.
    if (!this.#ahead || this.#ahead.result !== undefined) this.#free(error)
  }

  #free(error: unknown): void {
    this.#parts.source.close(error)
    this.#outlet.close()
    this.#over()
  }
}
