/**
 * What `burrow relay` asks of a cache that stock Nix does not: the narinfos of a whole closure in one question, and
 * which older versions a delta could start from.
 *
 *     POST /v1/closure    ClosureRequest in JSON    -> JSON lines, one ClosureLine each; compressed with gzip if accepted
 *
 * The roots come first, then what they refer to, level by level. A reply that was cut off is still good for the lines
 * that arrived.
 */

export const closurePath = 'v1/closure'

/** Roots of one question. */
export const maxClosureRoots = 64
/** Narinfos of one reply. */
export const maxClosureNarInfos = 4096
/** Bases offered for one path. */
export const maxBases = 4

export interface ClosureRequest {
  /** Hash parts: 32 Nix32 characters. */
  readonly roots: readonly string[]
  /** True: each narinfo comes with the bases of a delta. */
  readonly bases?: boolean | undefined
}

/** A store object that a delta can start from. */
export interface Base {
  /** 32 Nix32 characters. */
  readonly hashPart: string
  /** `sha256:<52 Nix32>` */
  readonly narHash: string
  /** Of the delta from this base; relative to the cache's URL. A 404 there means: take the whole NAR. */
  readonly url: string
  /** Bytes of the delta, if it is ready. */
  readonly deltaSize?: number
}

export type ClosureLine =
  | { readonly narInfo: string; readonly bases?: readonly Base[] }
  /** Only for roots: their hash part. */
  | { readonly absent: string }
  /** The last line. `isWhole` is false if the closure has more paths than a reply may have. */
  | { readonly end: { readonly isWhole: boolean } }
