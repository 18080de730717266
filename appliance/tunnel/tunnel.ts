/**
 * The tunnel as the rest of the appliance sees it: one supervised cloudflared process (the connector), its state in
 * words, and its end.
 *
 *   off -> starting -> connected <-> degraded, reconnecting;  a child that ended: backing-off -> starting;  a problem that
 * does not go away by itself: failed -> (much later) starting
 */
import type { TunnelMode } from './settings.ts'

export type TunnelState =
  /** None is wanted, or it was stopped. */
  | 'off'
  /** There is no cloudflared; it is looked for again and again. */
  | 'missing-binary'
  /** The connector runs and has not been connected yet. */
  | 'starting'
  /** As many connections as the connector had at its best. */
  | 'connected'
  /** It serves, with fewer connections than it had, or with a fault that will matter later. */
  | 'degraded'
  /** The connector lives and dials again: all connections are lost. */
  | 'reconnecting'
  /** The connector ended and is started again at `nextAttempt`. */
  | 'backing-off'
  /**
   * The edge or the machine refuses it (token invalid, tunnel deleted): someone must act. It is tried again at
   * `nextAttempt`, rarely.
   */
  | 'failed'

export interface TunnelStatus {
  readonly state: TunnelState
  readonly since: Date
  /**
   * In plain words, a whole clause without a full stop: "the edge refuses the token: Unauthorized: Invalid tunnel
   * secret".
   */
  readonly reason: string
  /** What to do; `undefined` when there is nothing to do. */
  readonly remedy: string | undefined
  /** `undefined` when no tunnel is configured. */
  readonly mode: TunnelMode | undefined
  /** It is stopping, and active requests may finish. */
  readonly isStopping: boolean
  /** Live connections to the edge. */
  readonly connections: number
  /**
   * The public hostname, as far as it is known: configured, given by the edge (quick), or found in the ingress rules
   * the edge pushed.
   */
  readonly hostname: string | undefined
  readonly tunnelId: string | undefined
  readonly connectorId: string | undefined
  readonly binary: { readonly path: string; readonly version: string | undefined } | undefined
  /** Of the connector now running. */
  readonly pid: number | undefined
  /** The connector's metrics endpoint, `http://127.0.0.1:PORT`. */
  readonly metricsUrl: string | undefined
  /** Starts after the first, since Burrow started. */
  readonly restarts: number
  readonly lastConnected: Date | undefined
  readonly nextAttempt: Date | undefined
  /** What the edge refused or the connector complained of last, redacted; for `burrow doctor`. */
  readonly lastError: string | undefined
}

/** The initial status. */
export const nothingKnown = {
  remedy: undefined,
  mode: undefined,
  isStopping: false,
  connections: 0,
  hostname: undefined,
  tunnelId: undefined,
  connectorId: undefined,
  binary: undefined,
  pid: undefined,
  metricsUrl: undefined,
  restarts: 0,
  lastConnected: undefined,
  nextAttempt: undefined,
  lastError: undefined,
} as const satisfies Omit<TunnelStatus, 'state' | 'since' | 'reason'>

export interface Tunnel extends AsyncDisposable {
  readonly status: TunnelStatus
  /**
   * Something was changed. Ends the wait of backing-off, failed and missing-binary; a connector that runs is left
   * alone, and when it ends it is restarted without a wait.
   */
  retry(): void
  /**
   * Unregisters at the edge, lets requests under way go on for the grace period, and ends the connector. Idempotent.
   */
  stop(): Promise<void>
}

/**
 * Of a connector process that may outlive us: enough to be sure, at the next start, that a process with this number is
 * really it.
 */
export interface ConnectorRecord {
  readonly pid: number
  /** Start time as the system reports it, compared as text. */
  readonly startTime: string
  /** The config file on its command line, in a directory that was ours alone. */
  readonly configFile: string
  /** The Burrow that started it. */
  readonly ownerPid: number
  readonly ownerStartTime: string
}

/** State of the tunnel that is kept across restarts of Burrow. Failed writes (a full disk) are logged and ignored. */
export interface TunnelMemory {
  readonly connectors: readonly ConnectorRecord[]
  addConnector(record: ConnectorRecord): Promise<void>
  removeConnector(pid: number): Promise<void>
  /** Last known facts, for `burrow status` and `burrow doctor` while nothing runs. */
  remember(facts: TunnelFacts): Promise<void>
}

export interface TunnelFacts {
  readonly hostname?: string | undefined
  readonly tunnelId?: string | undefined
  readonly connectorId?: string | undefined
  /** ISO 8601. */
  readonly lastConnected?: string | undefined
  readonly restarts?: number | undefined
}

/** `https://hostname`, or undefined as long as the hostname is not known. */
export function publicUrlOf({ hostname }: Pick<TunnelStatus, 'hostname'>): string | undefined {
  return hostname === undefined ? undefined : `https://${hostname}`
}
