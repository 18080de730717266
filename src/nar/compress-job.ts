/** Compresses a NAR into a sink: a larder file or a single reader. */
import type { ZstdCompress } from 'node:zlib'
import { type CompressionUse, type Compressors, createCompressor, inputBytes } from './compressor.ts'
import type { NarSource } from './nar-source.ts'
import type { Job, Scheduler, StepResult } from './scheduler.ts'
import type { Semaphore } from './semaphore.ts'

/** Destination of the compressed bytes. */
export interface CompressedSink {
  /** True to pause reading. Output for input that was already read may still arrive. */
  readonly isFull: boolean
  /**
   * Flushes pending output; called at the start of each time slice. Returns true if no more compressed bytes are
   * needed, so the compressor can stop.
   */
  drain(): boolean
  /** `bytes` does not change afterwards. */
  write(bytes: Buffer): void
  /** Called after the last write. The sink calls `over` when everything has been flushed. */
  finish(over: () => void): void
  /**
   * Frees all resources, reports the fault and calls `over`. Without a fault, the job was cancelled. May be called
   * between `finish` and its `over`.
   */
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
  /** Double buffering: one buffer is compressed while the other is filled. */
  readonly #buffers: Buffer[] = []
  #filling: Buffer | undefined
  #filled = 0
  readonly #ready: Input[] = []
  #isStepping = false
  /** The compressor is done; the sink may still be flushing. */
  #isCompressed = false
  /** The job has ended and produces no more output. */
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
    // A running compression step still reads its buffer and writes to the context: both are freed when it ends.
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
