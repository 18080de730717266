/**
 * What the access log and the metrics learn about requests: one exchange per request, when its reply has ended or was
 * cut off.
 */

export type RouteName =
  | 'narinfo'
  | 'nar'
  | 'nar-compressed'
  | 'nar-legacy'
  | 'cache-info'
  | 'listing'
  | 'log'
  | 'realisation'
  | 'version'
  | 'public-key'
  | 'index'
  | 'usage'
  | 'page'
  | 'asset'
  | 'events'
  | 'client'
  | 'join'
  | 'push'
  | 'closure'
  | 'other'

/**
 * `fill`: compressed into the larder while it was sent. `tree`: packed or compressed for this request only. `file`: as
 * it is stored. `delta`: as a delta, for a relay.
 */
export type ServedFrom = 'memory' | 'larder' | 'fill' | 'tree' | 'file' | 'upstream' | 'delta'

export interface Exchange {
  readonly route: RouteName
  readonly method: string
  /**
   * The path as sent, cut to 512 characters. A query is replaced by `…` because it may contain secrets. Untrusted text.
   */
  readonly target: string
  readonly status: number
  /** The authenticated user; undefined on a public cache and for refused requests. */
  readonly user: string | undefined
  /** True if the request passed the door; on a public cache every request does. Strangers are not admitted. */
  readonly isAdmitted?: boolean
  /** The user name of a refused login. Untrusted text, at most 64 characters. */
  readonly attemptedUser: string | undefined
  /** The store object that was requested and found. */
  readonly storePath: string | undefined
  /** Where its bytes came from; undefined when none were sent. */
  readonly servedFrom: ServedFrom | undefined
  readonly address: string
  /** `CF-Ray`, if the request came through the connector and the value is well-formed. */
  readonly ray: string | undefined
  /** Body bytes passed to the socket. */
  readonly bytes: number
  readonly durationMs: number
  /** False when the transfer was cut off by either side. */
  readonly isComplete: boolean
  /** Undefined for requests that are not part of a push. */
  readonly push?: PushTally | undefined
  /** Undefined if the reply has no bytes of a NAR. */
  readonly nar?: NarTally | undefined
  /** Hash parts that were asked for, and that no store has. Not while a store cannot be read. */
  readonly missed?: readonly string[] | undefined
}

/** What the bytes of a NAR in a reply stand for. */
export interface NarTally {
  /** Bytes of the whole body, of which a range may have been sent; undefined if that is not known in advance. */
  readonly wholeBytes: number | undefined
  /**
   * Bytes that would have been sent otherwise: for a compressed NAR its uncompressed size, for a delta the size of the
   * compressed NAR. Undefined if it is not known, or the same.
   */
  readonly insteadOfBytes: number | undefined
  /** The reply includes the last byte: once it is complete, the client has the whole NAR. */
  readonly reachesEnd: boolean
}

/** What one request of a push has transferred. */
export interface PushTally {
  /** Body bytes received. */
  readonly receivedBytes: number
  /** Number of store paths that this request has made available. */
  readonly registered: number
  readonly refused: number
  /**
   * The error message for the first refused path, as sent to the client. May contain text from the client; at most 300
   * characters.
   */
  readonly refusal: string | undefined
}

export interface Observer {
  exchanged(exchange: Exchange): void
}
