/** Puts the one view of everything together, for the operator's listener. */
import type { Cache, Reloadable, StoreHealth, Team, TeamUser } from '../../src/index.ts'
import type { Config } from '../config/config.ts'
import type { TrafficTotals } from '../log/traffic.ts'
import type { Listener } from '../server/listener.ts'
import { publicUrlOf, type TunnelStatus } from '../tunnel/tunnel.ts'
import type { StatusReport, UserReport } from './status.ts'
import { toTunnelReport } from './status.ts'

export interface ReportSources {
  readonly version: string
  readonly pid: number
  readonly startedAt: Date
  readonly config: Config
  readonly stores: readonly StoreHealth[]
  readonly cache: Cache
  readonly listener: Listener
  readonly tunnel: TunnelStatus
  readonly inForce: Reloadable
  readonly team: Pick<Team, 'users' | 'invitations'>
  readonly totals: TrafficTotals
  /** `undefined` when it can serve. */
  readonly impediment: string | undefined
}

export function createReport(sources: ReportSources): StatusReport {
  const { version, pid, startedAt, config, stores, cache, listener, tunnel, inForce, team, totals, impediment } =
    sources
  const now = new Date()
  const { larder, transfersUnderWay, failedLogins, answersAbsent } = cache.stats
  return {
    version,
    pid,
    startedAt: startedAt.toISOString(),
    now: now.toISOString(),
    config: config.file ?? null,
    stateDir: config.state.dir,
    tunnel: toTunnelReport(tunnel),
    publicUrl: publicUrlOf(tunnel) ?? null,
    origin: {
      url: listener.url,
      requestsUnderWay: listener.requestsUnderWay,
      isDraining: listener.isDraining,
      impediment: impediment ?? null,
      answersAbsent,
    },
    storeDir: config.store.dir,
    stores,
    larder: larder === undefined || config.larder === undefined ? null : { ...larder, dir: config.larder.dir },
    users: inForce.users === undefined ? null : team.users().map(toUserReport),
    openInvitations: team.invitations().filter(({ state }) => state === 'open').length,
    publicKeys: inForce.signing.map(({ publicKey }) => publicKey),
    traffic: { ...totals, transfersUnderWay, failedLogins },
  }
}

function toUserReport({ name, access, expires, isExpired, source }: TeamUser): UserReport {
  return { name, access: [...access], expires: expires?.toISOString() ?? null, isExpired, source }
}
