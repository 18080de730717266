/**
 * What happened, told to whoever keeps the access log and the metrics: one exchange a request, when its reply has ended or was cut.
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
  | 'other'

export interface Exchange {
  readonly route: RouteName
  readonly method: string
  /** The path as sent, cut to 512 characters; of a query, which may hold secrets, only that there was one. Hostile text. */
  readonly target: string
  readonly status: number
  /** The verified user's name; undefined on a public cache and for refused requests. */
  readonly user: string | undefined
  readonly address: string
  /** `CF-Ray`, when it came through the connector and looks like one. */
  readonly ray: string | undefined
  /** Body bytes handed to the socket. */
  readonly bytes: number
  readonly durationMs: number
  /** False when the transfer was cut, by either side. */
  readonly isComplete: boolean
}

export interface Observer {
  exchanged(exchange: Exchange): void
}
