/**
 * Creates NARs on demand in a worker thread, so that the main thread never waits for a disk or a hash.
 * contract.ts describes the interface; `packer-worker.ts` is the worker side.
 */
import { availableParallelism } from 'node:os'
import type { ByteRange, ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import { silentLog } from '../log.ts'
import type { Fill, NarRequest, Packer, PackerOptions } from './contract.ts'
import { FillTask } from './fill-task.ts'
import { ListTask } from './list-task.ts'
import { NarDelivery } from './nar-delivery.ts'
import type { JobRequest } from './packer-messages.ts'
import { PackerThread } from './packer-thread.ts'

/** Starts the packer thread. It keeps the process alive only while jobs are running. */
export function openPacker(options: PackerOptions = {}): Packer {
  return new ThreadPacker(options)
}

class ThreadPacker implements Packer {
  readonly #thread: PackerThread
  readonly #maxReaders: number
  #readers = 0

  constructor({
    log = silentLog,
    compressors = Math.min(availableParallelism(), 3),
    maxReaders = 4096,
  }: PackerOptions) {
    this.#thread = new PackerThread(log, compressors)
    this.#maxReaders = maxReaders
  }

  openNar(nar: NarRequest, range: ByteRange = { start: 0, end: nar.narSize }): ChunkReader {
    requireRange(range, nar.narSize)
    return this.#deliver((job) => ({ kind: 'raw', job, nar, ...range }))
  }

  openCompressedNar(
    nar: NarRequest,
    level: number,
    range: ByteRange = { start: 0, end: Number.MAX_SAFE_INTEGER },
  ): ChunkReader {
    requireRange(range, Number.MAX_SAFE_INTEGER)
    return this.#deliver((job) => ({ kind: 'compressed', job, nar, level, ...range }))
  }

  fill(nar: NarRequest, level: number, tempFile: string): Fill {
    return new FillTask(this.#thread, nar, level, tempFile)
  }

  listJson(realPath: string): Promise<Uint8Array> {
    return new ListTask(this.#thread, realPath).done
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#thread.close()
  }

  #deliver(toRequest: (job: number) => JobRequest): ChunkReader {
    const delivery = new NarDelivery(this.#thread, () => this.#readers--)
    this.#readers++
    if (this.#readers > this.#maxReaders)
      delivery.fail(new Fault('busy', `Cannot pack for more than ${this.#maxReaders} readers at once; try again later`))
    else delivery.begin(toRequest)
    return delivery
  }
}

function requireRange({ start, end }: ByteRange, size: number): void {
  const isRange = Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start < end && end <= size
  if (!isRange) throw new RangeError(`Cannot pack the range ${start} to ${end} of ${size} bytes`)
}
