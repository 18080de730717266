/**
 * The push protocol as both ends see it: JSON in UTF-8, basic auth on each request, replies with `no-store`.
 *
 *     GET  /v1/push                                                   what the cache takes                    -> PushInfo
 *     POST /v1/push/plan     PlanRequest                              what is missing; changes nothing        -> PlanReply
 *     PUT  /v1/push/nar/<NAR hash>/<NAR size>/<part bytes>/<index>    one part: one zstd frame                -> 204, 200
 *     POST /v1/push/batch    a line of BatchHeader, then the frames   small NARs, many at once                -> BatchReply
 *     POST /v1/push/commit   CommitRequest                            makes paths visible, all or nothing     -> CommitReply
 *
 * A NAR is cut at fixed places, every `partBytes` of the uncompressed NAR, and each part is compressed by itself. A
 * part is named by what it is part of, so there is no session: to resume is to ask for a plan again. The stored file is
 * the frames one behind the other (RFC 8878, section 3: frames may follow each other).
 */

export { countParts } from '../nar/part-ranges.ts'

export const protocolVersion = 1

/** Bytes of NAR in a part: the server says which it takes. */
export interface PartBytes {
  readonly default: number
  readonly min: number
  readonly max: number
}

export interface PushInfo {
  readonly protocol: number
  readonly storeDir: string
  readonly partBytes: PartBytes
  /** The most bytes of one batch, header included. */
  readonly batchBytes: number
  /** The most paths of one plan or commit. */
  readonly planPaths: number
  /** `name:base64`: what carries a signature of one of these need not be pushed. */
  readonly upstreamKeys: readonly string[]
  readonly keepUnfinishedSeconds: number
  readonly capabilities: readonly string[]
  /** Null on a public cache. */
  readonly user: string | null
  readonly access: readonly string[]
}

/** A store object as the pusher knows it. Hashes are `sha256:<52 Nix32>`, store paths absolute. */
export interface PushedPath {
  readonly storePath: string
  readonly narHash: string
  /** Bytes. */
  readonly narSize: number
  readonly references: readonly string[]
  readonly deriver?: string
  readonly signatures: readonly string[]
  readonly ca?: string
}

export interface PlanRequest {
  readonly partBytes: number
  readonly paths: readonly PushedPath[]
  /** True: a path is wanted here although an upstream has it. */
  readonly includeUpstream?: boolean
}

export type PlannedPath = { readonly storePath: string } & (
  | { readonly status: 'present' }
  /** A signature of an upstream key was verified: clients get it there. */
  | { readonly status: 'elsewhere' }
  /** The NAR is here under another path: a commit is enough. */
  | { readonly status: 'have-nar' }
  /** `have`: indices of parts that are here, `0-3,7`. */
  | { readonly status: 'upload'; readonly parts: { readonly count: number; readonly have: string } }
  | { readonly status: 'conflict' | 'refused'; readonly reason: string }
)

export interface PlanReply {
  readonly paths: readonly PlannedPath[]
  /** Bytes of NAR that are missing, and bytes that may still be stored. */
  readonly room: { readonly needed: number; readonly free: number }
}

/** The first line of a batch, ended by a line break; the frames follow in this order. */
export interface BatchHeader {
  readonly entries: readonly BatchEntry[]
}

export interface BatchEntry {
  readonly narHash: string
  readonly narSize: number
  /** Of the frame. */
  readonly bytes: number
}

export interface BatchReply {
  readonly entries: readonly {
    readonly narHash: string
    readonly status: 'stored' | 'present' | 'refused'
    readonly reason?: string
  }[]
}

export interface CommitRequest {
  readonly paths: readonly PushedPath[]
  readonly pin?: { readonly name: string; readonly keepLast?: number }
  readonly atomic: true
  readonly includeUpstream?: boolean
}

export type CommittedPath = { readonly storePath: string } & (
  | { readonly status: 'registered' | 'present' | 'elsewhere' }
  /** Being checked: ask again. */
  | { readonly status: 'pending' }
  /** `missing`: indices, `0-3,7`. */
  | { readonly status: 'incomplete'; readonly missing: string }
  | { readonly status: 'conflict' | 'refused'; readonly reason: string }
)

export interface CommitReply {
  readonly paths: readonly CommittedPath[]
}

/** The body of every reply that is no success. */
export interface PushError {
  readonly error: string
}
