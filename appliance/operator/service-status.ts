/** What the pages of the cache show of the service around it. */
import type { ServiceStatus, TunnelView } from '../../src/index.ts'
import type { TrafficTotals } from '../log/traffic.ts'
import type { TunnelStatus } from '../tunnel/tunnel.ts'
import { formatTunnelState, gradeOf } from './tunnel-states.ts'

export function toServiceStatus(startedAt: Date, tunnel: TunnelStatus, totals: TrafficTotals): ServiceStatus {
  const { requests, bytes, pushedPaths, receivedBytes } = totals
  return { startedAt, tunnel: toTunnelView(tunnel), traffic: { requests, bytes, pushedPaths, receivedBytes } }
}

function toTunnelView(status: TunnelStatus): TunnelView | undefined {
  const { state, since, restarts, lastConnected, reason, remedy } = status
  if (state === 'off') return undefined
  return { grade: gradeOf(state), state: formatTunnelState(status), since, restarts, lastConnected, reason, remedy }
}
