/**
 * The larder: zstd-compressed NARs kept on disk, each filled once however many ask, read by many. Contract and doors
 * only.
 *
 * A file is named `<NAR hash>.<recipe>.<file hash>.<file size>` (hashes in Nix32, without `sha256:`), so the directory
 * is its own index: nothing else has to be kept in step with it, and losing everything in memory loses nothing.
 *
 * A kept file is read and hashed before its first byte goes out, once in a process and again whenever its times have
 * moved. No transfer ends before what was sent is confirmed: a whole one by its hash, a part by a reading of all of the
 * file (both are spared for ten minutes after the last one) and by the times of the file. A file that turns out bad is
 * dropped and its readers are broken off; one that does so before its first byte is made again for the same reader.
 */
import type { ByteRange, ChunkReader } from '../chunks.ts'
import type { DeltaEnd } from '../delta/maker/contract.ts'
import type { CompressedNar, NarRequest } from '../nar/contract.ts'

export interface Larder extends AsyncDisposable {
  /**
   * Names everything the compressed bytes depend on besides the NAR: `zstd-<level>-<zstd version>`, characters
   * `[0-9a-z.-]`. It is part of each compressed NAR's URL, so that the bytes behind a URL never change.
   */
  readonly recipe: string

  /**
   * Hash and size of the compressed NAR if they are known in this process (kept on disk, or measured when it could not
   * be kept). Synchronous, a map lookup.
   */
  find(narHash: string): CompressedNar | undefined

  /**
   * The whole compressed NAR if it is small and in memory, verified against its file hash. Synchronous, a map lookup.
   */
  peek(narHash: string): Uint8Array | undefined

  /**
   * Opens the compressed NAR from its beginning: from disk when it is kept, else it starts or joins the one compression
   * and reads the growing file. `size` is undefined while it is not yet known. When the larder cannot keep files the
   * bytes are made for this reader alone.
   */
  open(nar: NarRequest): Promise<{ readonly size: number | undefined; readonly chunks: ChunkReader }>

  /**
   * Opens a range of a compressed NAR whose size is known through `find` or `settle`.
   */
  openRange(nar: NarRequest, range: ByteRange): Promise<ChunkReader>

  /**
   * A kept file made by another recipe (an older level or zstd): what a client that remembers an older narinfo asks
   * for. Synchronous, a map lookup.
   */
  findKept(narHash: string, recipe: string): CompressedNar | undefined

  /**
   * Opens such a file, or a range of it; `undefined` if it is not kept. This never starts a compression.
   */
  openKept(
    narHash: string,
    recipe: string,
    range?: ByteRange,
  ): Promise<{ readonly size: number; readonly chunks: ChunkReader } | undefined>

  /**
   * Starts or joins the compression and waits for its end: size and hash are then known. Rejects with the fill's Fault.
   * If nothing can be kept, it waits for a running transfer of the NAR, or compresses it only to measure it.
   */
  settle(nar: NarRequest): Promise<CompressedNar>

  /** The recipe of a delta from this base; undefined where no deltas are made. */
  deltaRecipe(baseNarHash: string): string | undefined

  /**
   * Makes and keeps a delta, or joins the making; resolves when it is kept (`findKept` and `openKept` have it then), or
   * to undefined if it is not worth keeping or cannot be kept. Rejects with the maker's Fault.
   */
  keepDelta(target: DeltaEnd, base: DeltaEnd): Promise<CompressedNar | undefined>

  /** For status and metrics. */
  readonly stats: LarderStats
}

export interface DeltaStats {
  readonly made: number
  readonly sent: number
  /** Bytes: what the compressed NARs in their place would have had more. */
  readonly savedBytes: number
}

export interface LarderStats {
  readonly files: number
  readonly bytes: number
  readonly maxBytes: number
  readonly fillsUnderWay: number
  readonly hits: number
  readonly fills: number
  readonly deltas: DeltaStats
  readonly evictions: number
  /** Kept files found missing, truncated or rotten, and dropped. */
  readonly damaged: number
  /** Why nothing can be kept at the moment, if so. */
  readonly unwritable: string | undefined
}
