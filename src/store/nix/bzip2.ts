/**
 * A bzip2 file as a stream of plain text, decoded in a thread of its own (bzip2-worker.ts) as fast as it is read: at
 * any time it holds one block (3.6 MB) and a few chunks of 64 KB, whatever the file expands to.
 */
import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../../clock.ts'
import type { Bzip2WorkerData, Bzip2WorkerMessage } from './bzip2-worker.ts'

/** A block takes a tenth of a second. Some damaged blocks keep the decoder busy for ever. */
const stallMs = 30_000
const workerHeapMb = 32

export class Bzip2Reader extends Readable {
  readonly #file: FileHandle
  readonly #worker: Worker
  readonly #credit = new Int32Array(new SharedArrayBuffer(4))
  readonly #clock: Clock
  #stopWatch: () => void = () => {}

  /** Takes over the file handle and closes it. Errors of the stream: a damaged or truncated file, a read error. */
  constructor(file: FileHandle, clock: Clock) {
    super({ highWaterMark: 1 })
    this.#file = file
    this.#clock = clock
    // Run from source or from a build.
    const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
    this.#worker = new Worker(new URL(`./bzip2-worker${extension}`, import.meta.url), {
      workerData: { fd: file.fd, credit: this.#credit } satisfies Bzip2WorkerData,
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: workerHeapMb, maxYoungGenerationSizeMb: 8 },
    })
    this.#worker.on('message', (message: Bzip2WorkerMessage) => this.#receive(message))
    this.#worker.on('error', (error) => this.destroy(error))
    this.#worker.on('exit', () => this.destroy(new Error('Cannot decode a build log: its thread ended')))
  }

  override _read(): void {
    Atomics.add(this.#credit, 0, 1)
    Atomics.notify(this.#credit, 0)
    this.#stopWatch = this.#clock.after(stallMs, () =>
      this.destroy(new Error(`Cannot decode a build log: no progress within ${stallMs} ms`)),
    )
  }

  #receive(message: Bzip2WorkerMessage): void {
    this.#stopWatch()
    if ('chunk' in message) this.push(message.chunk)
    else if ('end' in message) this.push(null)
    else this.destroy(new Error(`Cannot decode a build log: ${message.error}`))
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stopWatch()
    void this.#worker
      .terminate()
      .then(() => this.#file.close())
      .then(
        () => done(error),
        (failure) => done(error ?? failure),
      )
  }
}
