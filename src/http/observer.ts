/**
 * What happened, for the access log and the metrics: one exchange for each request, when its reply has ended or was
 * cut.
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
  | 'client'
  | 'push'
  | 'closure'
  | 'other'

/**
 * `fill`: compressed while it was sent, for all who ask. `tree`: packed or compressed for this client alone. `file`: as
 * it is stored. `delta`: as a delta, for a relay.
 */
export type ServedFrom = 'memory' | 'larder' | 'fill' | 'tree' | 'file' | 'upstream' | 'delta'

export interface Exchange {
  readonly route: RouteName
  readonly method: string
  /**
   * The path as sent, cut to 512 characters; of a query, which may hold secrets, only that there was one. Hostile text.
   */
  readonly target: string
  readonly status: number
  /** The verified user's name; undefined on a public cache and for refused requests. */
  readonly user: string | undefined
  /** The name that a refused login claimed. Hostile text, of at most 64 characters. */
  readonly claimedUser: string | undefined
  /** The store object that was asked for and found. */
  readonly storePath: string | undefined
  /** Where its bytes came from; undefined when none were sent. */
  readonly servedFrom: ServedFrom | undefined
  readonly address: string
  /** `CF-Ray`, when it came through the connector and looks like one. */
  readonly ray: string | undefined
  /** Body bytes handed to the socket. */
  readonly bytes: number
  readonly durationMs: number
  /** False when the transfer was cut, by either side. */
  readonly isComplete: boolean
  /** Of a push; undefined for all other requests. */
  readonly push?: PushTally | undefined
}

/** What one request of a push brought. */
export interface PushTally {
  /** Body bytes that arrived. */
  readonly receivedBytes: number
  /** Store paths that are here since this request. */
  readonly registered: number
  readonly refused: number
  /**
   * Why the first of them was refused, as the client was told. May hold names that the client sent; at most 300
   * characters.
   */
  readonly refusal: string | undefined
}

export interface Observer {
  exchanged(exchange: Exchange): void
}
