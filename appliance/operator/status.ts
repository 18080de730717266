/**
 * The one view of everything: what `/status` on the operator's listener sends (as JSON) and what `burrow status` and
 * `burrow doctor` read. No secret is in it. Dates are ISO 8601 in UTC; what is not known is null.
 */
import type { LarderStats, StoreHealth } from '../../src/index.ts'
import type { TunnelStatus } from '../tunnel/tunnel.ts'

export interface StatusReport {
  readonly version: string
  readonly pid: number
  readonly startedAt: string
  readonly now: string
  /** The config file; null when the defaults hold. */
  readonly config: string | null
  readonly stateDir: string
  /** `undefined` fields of TunnelStatus are null, dates are text. */
  readonly tunnel: TunnelReport
  /** How clients reach the cache through the tunnel, `https://…`; null while it is not known. */
  readonly publicUrl: string | null
  readonly origin: {
    /** `http://127.0.0.1:8080` or `unix:/path`. */
    readonly url: string
    readonly requestsUnderWay: number
    readonly isDraining: boolean
    /** null when it can serve, else why not. */
    readonly impediment: string | null
    /** True while all paths are answered as absent because the store cannot be read. */
    readonly answersAbsent: boolean
  }
  /** As clients know it. */
  readonly storeDir: string
  /** In the order in which they are asked. */
  readonly stores: readonly StoreHealth[]
  /** null: nothing is kept. */
  readonly larder: (LarderStats & { readonly dir: string }) | null
  /** null on a public cache. */
  readonly users: readonly UserReport[] | null
  readonly publicKeys: readonly string[]
  readonly traffic: {
    readonly requests: number
    readonly bytes: number
    readonly pushedPaths: number
    readonly receivedBytes: number
    readonly transfersUnderWay: number
    readonly failedLogins: number
  }
}

export interface UserReport {
  readonly name: string
  readonly access: readonly string[]
  readonly expires: string | null
  readonly isExpired: boolean
}

type Told<T> = T extends Date ? string : T extends undefined ? null : T
export type TunnelReport = { readonly [Name in keyof TunnelStatus]: Told<TunnelStatus[Name]> }

export function toTunnelReport(status: TunnelStatus): TunnelReport {
  const told = Object.entries(status).map(([name, value]) => [
    name,
    value instanceof Date ? value.toISOString() : (value ?? null),
  ])
  return Object.fromEntries(told) as TunnelReport
}
