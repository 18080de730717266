/** The chunks of one job as a `ChunkReader`: queued as they arrive from the packer thread, delivered on request. */
import type { Chunk, ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import type { Deliverer } from './deliveries.ts'
import type { JobRequest, PackerEvent } from './packer-messages.ts'
import { faultOfEvent, type JobHandle, type PackerThread, type Task, type ThreadRun } from './packer-thread.ts'

interface Taker {
  resolve(chunk: Chunk | undefined): void
  reject(fault: Error): void
}

/** A single shared instance: every reader is closed in the end, and the stack trace carries no information. */
const readerClosed = new Fault('abandoned', 'The reader was closed')

export class NarDelivery implements ChunkReader, Task, Deliverer {
  readonly #thread: PackerThread
  readonly #over: () => void
  #handle: JobHandle | undefined
  #queue: Chunk[] = []
  #taker: Taker | undefined
  #isComplete = false
  #fault: Error | undefined
  #isOver = false

  /** @param over called once, when the reader no longer needs the thread */
  constructor(thread: PackerThread, over: () => void) {
    this.#thread = thread
    this.#over = over
  }

  begin(toRequest: (job: number) => JobRequest): void {
    this.#handle = this.#thread.begin(this, toRequest)
  }

  next(): Promise<Chunk | undefined> {
    if (this.#taker) return Promise.reject(new Error('Cannot request the next chunk while a call is pending'))
    return new Promise((resolve, reject) => {
      this.#taker = { resolve, reject }
      this.#serve()
    })
  }

  close(): void {
    this.fail(readerClosed)
    this.#handle?.drop(true)
  }

  receive(event: PackerEvent, run: ThreadRun): void {
    if (event.kind === 'fault') {
      this.fail(faultOfEvent(event))
      return
    }
    if (event.kind === 'chunk') this.#queue.push(new SlotChunk(run, event))
    if (event.kind === 'end' || (event.kind === 'chunk' && event.isLast)) this.#complete()
    if (this.#taker) this.#serve()
  }

  fail(fault: Error): void {
    if (this.#fault) return
    this.#fault = fault
    for (const chunk of this.#queue) chunk.release()
    this.#queue = []
    this.#end()
    if (this.#taker) this.#serve()
  }

  deliver(): number {
    const chunk = this.#taker && this.#queue.shift()
    if (!chunk) return 0
    this.#take().resolve(chunk)
    return chunk.bytes.length
  }

  #serve(): void {
    if (this.#queue.length > 0) this.#thread.deliveries.offer(this)
    else if (this.#fault) this.#take().reject(this.#fault)
    else if (this.#isComplete) this.#take().resolve(undefined)
  }

  #take(): Taker {
    const taker = this.#taker!
    this.#taker = undefined
    return taker
  }

  #complete(): void {
    this.#isComplete = true
    this.#end()
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#over()
  }
}

class SlotChunk implements Chunk {
  readonly bytes: Uint8Array
  readonly #run: ThreadRun
  readonly #at: number
  #isReleased = false

  constructor(run: ThreadRun, event: PackerEvent & { readonly kind: 'chunk' }) {
    this.bytes = run.bytesOf(event)
    this.#run = run
    this.#at = event.at
  }

  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#run.free(this.#at)
  }
}
