/** Sends a range of the compressed bytes to one reader. The compressor always starts at the beginning. */
import type { CompressedSink } from './compress-job.ts'
import type { Outbox } from './outbox.ts'
import type { Outlet } from './outlet.ts'

/** Bytes queued for the reader. Above this, the compression pauses. */
const queueBytes = 256 * 1024

export class OutletSink implements CompressedSink {
  readonly #outlet: Outlet
  readonly #outbox: Outbox
  #skip: number
  #left: number
  #queue: Buffer[] = []
  #queued = 0
  #over: (() => void) | undefined
  readonly #wake: () => void

  constructor(outlet: Outlet, outbox: Outbox, start: number, end: number, wake: () => void) {
    this.#outlet = outlet
    this.#outbox = outbox
    this.#skip = start
    this.#left = end - start
    this.#wake = wake
  }

  get isFull(): boolean {
    return this.#queued > queueBytes
  }

  write(bytes: Buffer): void {
    const skipped = Math.min(this.#skip, bytes.length)
    this.#skip -= skipped
    const wanted = bytes.subarray(skipped, Math.min(bytes.length, skipped + this.#left))
    this.#left -= wanted.length
    if (wanted.length === 0) return
    this.#queue.push(wanted)
    this.#queued += wanted.length
    this.#wake()
  }

  drain(): boolean {
    for (let bytes = this.#queue[0]; bytes; bytes = this.#queue[0]) {
      const room = this.#outlet.room(this.#queued)
      if (!room) return false
      const count = bytes.copy(room)
      this.#queued -= count
      if (count === bytes.length) this.#queue.shift()
      else this.#queue[0] = bytes.subarray(count)
      this.#outlet.filled(count, false)
    }
    if (this.#over) this.#end()
    else this.#outlet.offer()
    return this.#left === 0
  }

  finish(over: () => void): void {
    this.#over = over
    this.drain()
  }

  discard(fault: unknown, over: () => void): void {
    this.#queue = []
    if (fault !== undefined) this.#outbox.addFault(this.#outlet.job, fault)
    this.#outlet.close()
    over()
  }

  #end(): void {
    this.#outlet.end()
    this.#outlet.close()
    const over = this.#over
    this.#over = undefined
    over?.()
  }
}
