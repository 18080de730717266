/**
 * NARs made on demand in a worker thread, so that the thread which answers requests never waits for a disk or a hash.
 * This file is the contract and the facade; `packer-worker.ts` is the other side.
 */
import { availableParallelism } from 'node:os'
import type { ByteRange, ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import { type Log, silentLog } from '../log.ts'
import { FillTask } from './fill-task.ts'
import { ListTask } from './list-task.ts'
import { NarDelivery } from './nar-delivery.ts'
import type { JobRequest } from './packer-messages.ts'
import { PackerThread } from './packer-thread.ts'

/** Which NAR is meant, and what it must turn out to be. */
export interface NarRequest {
  /** Where the files lie: absolute, a file, symlink or directory. */
  readonly realPath: string
  /** `sha256:<52 Nix32>` */
  readonly narHash: string
  /** Bytes. */
  readonly narSize: number
}

/** What a finished compression produced: the `FileHash` and `FileSize` of a narinfo. */
export interface CompressedNar {
  /** `sha256:<52 Nix32>` of the compressed bytes. */
  readonly fileHash: string
  readonly fileSize: number
}

/** What a finished `Fill` tells. */
export interface FilledNar extends CompressedNar {
  /** False when the file could not be written to its end (full disk, I/O error) and was removed: the compression went on only to learn the hash and size. */
  readonly wasWritten: boolean
  /** Why it was not written: for the log. */
  readonly unwritable?: string
  /** The compressed NAR itself, when it is at most 64 KiB. */
  readonly bytes?: Uint8Array
}

/** A compression that writes to a file as it goes. */
export interface Fill {
  /** Bytes of the file that can be read by others so far; only grows. */
  readonly written: number
  /** Called (from the main thread's event loop) whenever `written` has grown, and at the end. Returns a function that unsubscribes. */
  onProgress(listener: () => void): () => void
  /**
   * Settles at the end. Resolves after hash and size of the NAR were found right and the file was fsynced: then, and only then, may the file be published.
   * Rejects with a Fault (nar-…, abandoned, busy) after the file was removed.
   */
  readonly done: Promise<FilledNar>
  /** Gives the work up; `done` rejects with `abandoned`. */
  abandon(): void
}

export interface Packer extends AsyncDisposable {
  /**
   * The bytes of the uncompressed NAR, or of a range of it (not an empty one), found by seeking. A whole NAR is hashed while it is packed and its last chunk is
   * held back until the hash is found right; of a range every file's size is checked. Rejections: nar-mismatch, nar-changed, nar-unreadable, busy, abandoned.
   * Chunks handed out stay valid after `close`, until their `release`.
   */
  openNar(nar: NarRequest, range?: ByteRange): ChunkReader

  /**
   * The zstd-compressed NAR, from compressed byte `range.start` up to `range.end`, made for this reader alone (the compressor is run from the start and what lies before is dropped;
   * the same NAR, level and zstd version always give the same bytes). Verified as in `openNar` when it runs to the end.
   */
  openCompressedNar(nar: NarRequest, level: number, range?: ByteRange): ChunkReader

  /** Compresses into `tempFile` (created exclusively, 0600). Many may be under way; they share the processor in turns. */
  fill(nar: NarRequest, level: number, tempFile: string): Fill

  /** The `.ls` file of a store object (`{"version":1,"root":…}`, see listing.ts), as JSON ready to be sent. Rejects with nar-changed, nar-unreadable, busy, abandoned. */
  listJson(realPath: string): Promise<Uint8Array>
}

export interface PackerOptions {
  readonly log?: Log
  /** Compression steps at once. By default one for each core, at most 3: libuv's pool has 4 threads, and files are read there too. */
  readonly compressors?: number
  /** Readers (`openNar`, `openCompressedNar`) at once; one more gets the fault `busy`. */
  readonly maxReaders?: number
}

/** Starts the packing thread. It keeps the process alive only while there is work. */
export function openPacker(options: PackerOptions = {}): Packer {
  return new ThreadPacker(options)
}

class ThreadPacker implements Packer {
  readonly #thread: PackerThread
  readonly #maxReaders: number
  #readers = 0

  constructor({ log = silentLog, compressors = Math.min(availableParallelism(), 3), maxReaders = 4096 }: PackerOptions) {
    this.#thread = new PackerThread(log, compressors)
    this.#maxReaders = maxReaders
  }

  openNar(nar: NarRequest, range: ByteRange = { start: 0, end: nar.narSize }): ChunkReader {
    requireRange(range, nar.narSize)
    return this.#deliver((job) => ({ kind: 'raw', job, nar, ...range }))
  }

  openCompressedNar(nar: NarRequest, level: number, range: ByteRange = { start: 0, end: Number.MAX_SAFE_INTEGER }): ChunkReader {
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
    if (this.#readers > this.#maxReaders) delivery.fail(new Fault('busy', `Cannot pack for more than ${this.#maxReaders} readers at once; try again later`))
    else delivery.begin(toRequest)
    return delivery
  }
}

function requireRange({ start, end }: ByteRange, size: number): void {
  const isRange = Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start < end && end <= size
  if (!isRange) throw new RangeError(`Cannot pack the range ${start} to ${end} of ${size} bytes`)
}
