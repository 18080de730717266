/**
 * NARs made on demand in a worker thread, so that the thread which answers requests never waits for a disk or a hash.
 * This file is the contract and the facade; `packer-worker.ts` is the other side.
 */
import type { ChunkReader } from '../chunks.ts'
import type { NarListing } from './listing.ts'

/** Which NAR is meant, and what it must turn out to be. */
export interface NarRequest {
  /** Where the files lie: absolute, a file, symlink or directory. */
  readonly realPath: string
  /** `sha256:<52 Nix32>` */
  readonly narHash: string
  /** Bytes. */
  readonly narSize: number
}

/** Half-open byte range `[start, end)`. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** What a finished compression produced: the `FileHash` and `FileSize` of a narinfo. */
export interface CompressedNar {
  /** `sha256:<52 Nix32>` of the compressed bytes. */
  readonly fileHash: string
  readonly fileSize: number
}

/** A compression that writes to a file as it goes. */
export interface Fill {
  /** Bytes of the file that can be read by others so far; only grows. */
  readonly written: number
  /** Called (from the main thread's event loop) whenever `written` has grown, and at the end. Returns a function that unsubscribes. */
  onProgress(listener: () => void): () => void
  /**
   * Settles at the end. Resolves after hash and size of the NAR were found right and the file was fsynced: then, and only then, may the file be published.
   * `wasWritten` is false when the file could not be written to its end (full disk, I/O error): the compression went on only to learn the hash and size.
   * Rejects with a Fault (nar-…, abandoned).
   */
  readonly done: Promise<CompressedNar & { readonly wasWritten: boolean }>
  /** Gives the work up; `done` rejects with `abandoned`. */
  abandon(): void
}

export interface Packer extends AsyncDisposable {
  /**
   * The bytes of the uncompressed NAR, or of a range of it, found by seeking. A whole NAR is hashed while it is packed and its last chunk is held back
   * until the hash is found right; of a range every file's size is checked. Rejections: nar-mismatch, nar-changed, nar-unreadable, abandoned.
   */
  openNar(nar: NarRequest, range?: ByteRange): ChunkReader

  /**
   * The zstd-compressed NAR, from compressed byte `range.start` up to `range.end`, made for this reader alone (the compressor is run from the start and what lies before is dropped;
   * the same NAR, level and zstd version always give the same bytes). Verified as in `openNar` when it runs to the end.
   */
  openCompressedNar(nar: NarRequest, level: number, range?: ByteRange): ChunkReader

  /** Compresses into `tempFile` (created exclusively, 0600). Many may be under way; they share the processor in turns. */
  fill(nar: NarRequest, level: number, tempFile: string): Fill

  /** The listing of a store object with narOffsets (the `.ls` file's root). Rejects with nar-changed, nar-unreadable. */
  list(realPath: string): Promise<NarListing>
}
