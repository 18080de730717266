/** The packer's interface and result types. `packer.ts` is the main-thread side, `packer-worker.ts` the worker side. */
import type { ByteRange, ChunkReader } from '../chunks.ts'
import type { Log } from '../log.ts'

/** Identifies a NAR, with its expected hash and size. */
export interface NarRequest {
  /** Absolute path of a file, symlink or directory. */
  readonly realPath: string
  /** `sha256:<52 Nix32>` */
  readonly narHash: string
  /** Bytes. */
  readonly narSize: number
}

/** Result of a finished compression: the `FileHash` and `FileSize` of a narinfo. */
export interface CompressedNar {
  /** `sha256:<52 Nix32>` of the compressed bytes. */
  readonly fileHash: string
  readonly fileSize: number
}

/** Result of a finished `Fill`. */
export interface FilledNar extends CompressedNar {
  /**
   * False if the file could not be written completely (disk full, I/O error) and was removed. The compression continued
   * only to compute the hash and size.
   */
  readonly wasWritten: boolean
  /** Why it was not written, for the log. */
  readonly unwritable?: string
  /** The compressed NAR itself, if it is at most 64 KiB. */
  readonly bytes?: Uint8Array
}

/** A compression that writes to a file. */
export interface Fill {
  /** Number of bytes of the file that others can read so far. Never decreases. */
  readonly written: number
  /**
   * Registers a listener that is called (from the main thread's event loop) whenever `written` grows, and at the end.
   * Returns an unsubscribe function.
   */
  onProgress(listener: () => void): () => void
  /**
   * Settles at the end. Resolves after the hash and size of the NAR were verified and the file was fsynced. Publish the
   * file only then. Rejects with a Fault (nar-…, abandoned, busy) after the file was removed.
   */
  readonly done: Promise<FilledNar>
  /** Aborts the compression; `done` rejects with `abandoned`. */
  abandon(): void
}

export interface Packer extends AsyncDisposable {
  /**
   * Returns the uncompressed NAR, or a non-empty range of it, found by seeking. A whole NAR is hashed while it is
   * packed, and its last chunk is held back until the hash is verified. For a range, the size of each file is checked.
   * Rejects with nar-mismatch, nar-changed, nar-unreadable, busy or abandoned.
   * Chunks stay valid after `close`, until they are released.
   */
  openNar(nar: NarRequest, range?: ByteRange): ChunkReader

  /**
   * Returns the zstd-compressed NAR, from compressed byte `range.start` to `range.end`, compressed for this reader
   * only. The compressor always starts at the beginning and output before the range is discarded; the same NAR, level
   * and zstd version always produce the same bytes. Verified like `openNar` if it is read to the end.
   */
  openCompressedNar(nar: NarRequest, level: number, range?: ByteRange): ChunkReader

  /** Compresses into `tempFile` (created exclusively, mode 0600). Concurrent fills share the CPU in time slices. */
  fill(nar: NarRequest, level: number, tempFile: string): Fill

  /**
   * Returns the `.ls` file of a store object (`{"version":1,"root":…}`, see listing.ts) as JSON, ready to send. Rejects
   * with nar-changed, nar-unreadable, busy or abandoned.
   */
  listJson(realPath: string): Promise<Uint8Array>
}

export interface PackerOptions {
  readonly log?: Log
  /**
   * Maximum number of concurrent compression steps. Defaults to the number of cores, at most 3: libuv's pool has 4
   * threads, and file reads need one.
   */
  readonly compressors?: number
  /** Maximum number of concurrent readers (`openNar`, `openCompressedNar`). Further ones fail with `busy`. */
  readonly maxReaders?: number
}
