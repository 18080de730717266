/** The job of compressing a NAR, into whatever takes the compressed bytes: a file of the larder, or one reader. */
import type { ZstdCompress } from 'node:zlib'
import { type CompressionUse, type Compressors, createCompressor, inputBytes } from './compressor.ts'
import type { NarSource } from './nar-source.ts'
import type { Job, Scheduler, StepResult } from './scheduler.ts'
import type { Semaphore } from './semaphore.ts'

/** Where compressed bytes go. */
export interface CompressedSink {
  /** Asks for a pause: the bytes of what was read already may still come. */
  readonly isFull: boolean
  /** Passes on what could not be passed on at once; called in each turn. True when all that is wanted of the compressor came: it can stop. */
  drain(): boolean
  /** The bytes stay as they are. */
  write(bytes: Buffer): void
  /** All bytes were written; `over` is called when they were passed on, too. */
  finish(over: () => void): void
  /** Frees everything, reports the fault, and calls `over`. No fault: the job was dropped. Also possible between `finish` and its `over`. */
  discard(fault: unknown, over: () => void): void
}

export interface CompressJobParts {
  readonly scheduler: Scheduler
  readonly compressors: Compressors
  readonly source: NarSource
  readonly use: CompressionUse
  readonly narSize: number
  readonly level: number
}

interface Input {
  readonly buffer: Buffer
  readonly length: number
}

export class CompressJob implements Job {
  readonly #parts: CompressJobParts
  readonly #sink: CompressedSink
  readonly #over: () => void
  #context: 'none' | 'waiting' | 'had' | 'released' = 'none'
  #zstd: ZstdCompress | undefined
  /** Of the two buffers one is compressed while the other is filled. */
  readonly #buffers: Buffer[] = []
  #filling: Buffer | undefined
  #filled = 0
  readonly #ready: Input[] = []
  #isStepping = false
  /** The compressor has nothing more to give; the sink may still have. */
  #isCompressed = false
  /** Nothing more will come of it. */
  #isOver = false

  constructor(parts: CompressJobParts, sink: CompressedSink, over: () => void) {
    this.#parts = parts
    this.#sink = sink
    this.#over = over
  }

  turn(deadline: number): StepResult {
    if (this.#isOver) return 'over'
    try {
      const isEnough = this.#sink.drain()
      if (this.#isCompressed) return 'wait'
      if (isEnough) {
        this.#finish()
        return 'wait'
      }
      if (!this.#parts.source.prepare(deadline)) return 'again'
      return this.#context === 'had' ? this.#read(deadline) : this.#requestContext()
    } catch (error) {
      this.#fail(error)
      return 'over'
    }
  }

  drop(): void {
    this.#fail(undefined)
  }

  get #contexts(): Semaphore {
    const { compressors, use, narSize, level } = this.#parts
    return compressors.contexts(use, narSize, level)
  }

  #requestContext(): StepResult {
    if (this.#context === 'none') {
      this.#context = 'waiting'
      this.#contexts.request(this.#begin)
    }
    return 'wait'
  }

  readonly #begin = (): void => {
    const { compressors, narSize, level, scheduler } = this.#parts
    this.#context = 'had'
    this.#buffers.push(compressors.takeBuffer(narSize))
    if (narSize > inputBytes) this.#buffers.push(compressors.takeBuffer(narSize))
    this.#zstd = createCompressor(narSize, level)
    this.#zstd.on('data', (bytes: Buffer) => this.#sink.write(bytes))
    this.#zstd.on('error', (error) => this.#fail(error))
    scheduler.wake(this)
  }

  #read(deadline: number): StepResult {
    const { source, scheduler, compressors } = this.#parts
    if (source.remaining === 0 || this.#sink.isFull) return 'wait'
    this.#filling ??= this.#buffers.pop()
    if (!this.#filling) return 'wait'
    const count = source.read(this.#filling.subarray(this.#filled), deadline)
    scheduler.charge(count)
    this.#filled += count
    if (this.#filled === this.#filling.length || source.remaining === 0) {
      this.#ready.push({ buffer: this.#filling, length: this.#filled })
      this.#filling = undefined
      this.#filled = 0
      if (!this.#isStepping && this.#ready.length === 1) compressors.steps.request(this.#step)
    }
    return source.remaining === 0 ? 'wait' : 'again'
  }

  readonly #step = (): void => {
    const input = this.#ready.shift()
    if (this.#isOver || this.#isCompressed || !this.#zstd || !input) {
      this.#parts.compressors.steps.release()
      return
    }
    this.#isStepping = true
    this.#zstd.write(input.buffer.subarray(0, input.length), () => this.#stepped(input.buffer))
  }

  #stepped(buffer: Buffer): void {
    const { source, scheduler, compressors } = this.#parts
    this.#isStepping = false
    this.#buffers.push(buffer)
    compressors.steps.release()
    if (this.#isOver || this.#isCompressed) {
      this.#releaseContext()
      return
    }
    if (this.#ready.length > 0) compressors.steps.request(this.#step)
    else if (source.remaining === 0) this.#end()
    scheduler.wake(this)
  }

  #end(): void {
    this.#zstd!.once('end', () => {
      if (!this.#isOver && !this.#isCompressed) this.#finish()
    })
    this.#zstd!.end()
  }

  #finish(): void {
    this.#isCompressed = true
    this.#close(undefined)
    this.#sink.finish(() => {
      this.#isOver = true
      this.#over()
    })
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#close(error)
    this.#sink.discard(error, this.#over)
  }

  #close(error: unknown): void {
    const { source, compressors } = this.#parts
    source.close(error)
    if (this.#context === 'waiting') this.#contexts.cancel(this.#begin)
    compressors.steps.cancel(this.#step)
    // A step under way still reads its buffer and writes to the context: they are freed when it ends.
    if (!this.#isStepping) this.#releaseContext()
  }

  #releaseContext(): void {
    if (this.#context !== 'had') return
    this.#context = 'released'
    const { compressors } = this.#parts
    this.#zstd?.destroy()
    if (this.#filling) this.#buffers.push(this.#filling)
    for (const buffer of [...this.#buffers, ...this.#ready.map((input) => input.buffer)]) compressors.giveBuffer(buffer)
    this.#contexts.release()
  }
}
