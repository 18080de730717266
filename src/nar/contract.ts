/**
 * What the packer offers and how its answers look. `packer.ts` is the side in the main thread, `packer-worker.ts` the other.
 */
import type { ByteRange, ChunkReader } from '../chunks.ts'
import type { Log } from '../log.ts'

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
