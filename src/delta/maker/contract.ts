/** Making deltas beside everything else: what larder and routes see of it. */
import type { ChunkReader } from '../../chunks.ts'
import type { CompressedNar } from '../../nar/contract.ts'

/** One end of a delta: a store object as files, or as a NAR that is stored somewhere. */
export type DeltaEnd = {
  /** `sha256:<52 Nix32>` */
  readonly narHash: string
  /** Bytes. */
  readonly narSize: number
} & (
  | { readonly kind: 'tree'; readonly realPath: string }
  /** `open` gives the NAR uncompressed. */
  | { readonly kind: 'nar'; readonly open: () => Promise<ChunkReader> }
)

export interface DeltaOrder {
  readonly base: DeltaEnd
  readonly target: DeltaEnd
  /** Where the delta goes; absolute, made exclusively, 0600. Removed if it does not come to its end. */
  readonly tempPath: string
  /** For NARs while they are unpacked; absolute, must not exist. Removed at the end. */
  readonly scratchDir: string
  /** A delta that grows beyond this is given up. */
  readonly maxBytes: number
}

export interface DeltaMaker extends AsyncDisposable {
  /**
   * Resolves when the delta is written and on disk, with its hash and size; undefined if it is not worth it. One is made
   * at a time. Rejects with a Fault: nar-mismatch, nar-changed or nar-unreadable for the target, absent for the base,
   * abandoned when the program ends, larder-unwritable for the disk.
   */
  make(order: DeltaOrder): Promise<CompressedNar | undefined>
}
