/**
 * The push protocol, for client and server: JSON in UTF-8, basic auth on each request, replies with `no-store`.
 *
 *     GET  /v1/push                                                   what the cache accepts                  -> PushInfo
 *     POST /v1/push/plan     PlanRequest                              what is missing; changes nothing        -> PlanReply
 *     PUT  /v1/push/nar/<NAR hash>/<NAR size>/<part bytes>/<index>    one part: one zstd frame                -> 204, 200
 *     POST /v1/push/batch    a line of BatchHeader, then the frames   many small NARs                         -> BatchReply
 *     POST /v1/push/commit   CommitRequest                            makes paths visible, all or nothing     -> CommitReply
 *
 * A NAR is split every `partBytes` bytes of the uncompressed NAR, and each part is compressed separately. The URL of a
 * part identifies its content, so there is no session: to resume, the client requests a new plan. The stored file is the
 * concatenation of the frames (RFC 8878, section 3).
 */

export { countParts } from '../nar/part-ranges.ts'

export const protocolVersion = 1

/** Bytes of NAR in a part: the sizes that the server accepts. */
export interface PartBytes {
  readonly default: number
  readonly min: number
  readonly max: number
}

export interface PushInfo {
  readonly protocol: number
  readonly storeDir: string
  readonly partBytes: PartBytes
  /** Maximum size of a batch, header included. */
  readonly batchBytes: number
  /** Maximum number of paths in one plan or commit. */
  readonly planPaths: number
  /** `name:base64`. Paths with a valid signature by one of these keys need not be pushed. */
  readonly upstreamKeys: readonly string[]
  readonly keepUnfinishedSeconds: number
  readonly capabilities: readonly string[]
  /** Null on a public cache. */
  readonly user: string | null
  readonly access: readonly string[]
}

/** A store object, as described by the client. Hashes are `sha256:<52 Nix32>`, store paths absolute. */
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
  /** True: push paths even if an upstream cache has them. */
  readonly includeUpstream?: boolean
}

export type PlannedPath = { readonly storePath: string } & (
  | { readonly status: 'present' }
  /** It has a valid signature by an upstream key: clients get it from the upstream cache. */
  | { readonly status: 'elsewhere' }
  /** The NAR is already stored for another path: a commit is enough. */
  | { readonly status: 'have-nar' }
  /** `have`: indices of the parts that are already stored, `0-3,7`. */
  | { readonly status: 'upload'; readonly parts: { readonly count: number; readonly have: string } }
  | { readonly status: 'conflict' | 'refused'; readonly reason: string }
)

export interface PlanReply {
  readonly paths: readonly PlannedPath[]
  /** Bytes of the missing NARs, and bytes that can still be stored. */
  readonly room: { readonly needed: number; readonly free: number }
}

/** The first line of a batch. The frames follow in this order. */
export interface BatchHeader {
  readonly entries: readonly BatchEntry[]
}

export interface BatchEntry {
  readonly narHash: string
  readonly narSize: number
  /** Size of the frame. */
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
  /** Still being checked: commit again. */
  | { readonly status: 'pending' }
  /** `missing`: indices, `0-3,7`. */
  | { readonly status: 'incomplete'; readonly missing: string }
  | { readonly status: 'conflict' | 'refused'; readonly reason: string }
)

export interface CommitReply {
  readonly paths: readonly CommittedPath[]
}

/** The body of every reply that is not a success. */
export interface PushError {
  readonly error: string
}
