/** Prometheus metrics, served on the operator listener only. No label has a value that a client chose. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

import type { CacheStats, Exchange, StoreHealth } from '../../src/index.ts'
import type { TunnelStatus } from '../tunnel/tunnel.ts'
import { createPushCounters, watchDepot } from './depot-metrics.ts'
import { watchStores } from './store-metrics.ts'
import { tunnelStates } from './tunnel-states.ts'
import { createUsageCounters } from './usage-metrics.ts'

export interface Stats extends CacheStats {
  readonly stores: readonly StoreHealth[]
  /** `undefined` before there is one, which counts as off. */
  readonly tunnel: TunnelStatus | undefined
}

export interface TrafficMetrics {
  count(exchange: Exchange): void
}

export interface Metrics extends TrafficMetrics {
  /** The text that `/metrics` shows. */
  format(): Promise<{ readonly contentType: string; readonly body: string }>
  /** Where to read what is counted elsewhere, once it is there. */
  watch(readStats: () => Stats): void
}

/** From a narinfo out of memory to a NAR of several GB. */
const durationBuckets = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800]

type Readings = Readonly<Record<string, readonly [help: string, read: (stats: Stats) => number]>>

const gauges: Readings = {
  burrow_transfers: ['NARs being sent', (stats) => stats.transfersUnderWay],
  burrow_transfers_waiting: ['Requests for NARs that wait in the queue', (stats) => stats.transfersWaiting],
  burrow_answers_absent: [
    '1 while all paths are answered as absent because the store cannot be read',
    (stats) => (stats.answersAbsent ? 1 : 0),
  ],
  burrow_larder_files: ['Compressed NARs kept', (stats) => stats.larder?.files ?? 0],
  burrow_larder_bytes: ['Bytes of the compressed NARs kept', (stats) => stats.larder?.bytes ?? 0],
  burrow_larder_max_bytes: ['Maximum size of the larder in bytes', (stats) => stats.larder?.maxBytes ?? 0],
  burrow_larder_fills_under_way: ['Compressions under way', (stats) => stats.larder?.fillsUnderWay ?? 0],
  burrow_larder_writable: ['0 when nothing can be kept', (stats) => (stats.larder?.unwritable === undefined ? 1 : 0)],
  burrow_tunnel_connections: ['Live connections to the edge', (stats) => stats.tunnel?.connections ?? 0],
}

/** Kept where things happen and only grow, so that a restart of this program is the only time they begin again. */
const counters: Readings = {
  burrow_failed_logins_total: ['Failed logins', (stats) => stats.failedLogins],
  burrow_larder_fills_total: ['Compressions', (stats) => stats.larder?.fills ?? 0],
  burrow_larder_hits_total: ['NARs found in the larder', (stats) => stats.larder?.hits ?? 0],
  burrow_larder_evictions_total: ['Compressed NARs deleted to free space', (stats) => stats.larder?.evictions ?? 0],
  burrow_deltas_made_total: ['Deltas made', (stats) => stats.larder?.deltas.made ?? 0],
  burrow_deltas_sent_total: ['Deltas sent in place of NARs', (stats) => stats.larder?.deltas.sent ?? 0],
  burrow_deltas_saved_bytes_total: [
    'Bytes that deltas saved, compared with compressed NARs',
    (stats) => stats.larder?.deltas.savedBytes ?? 0,
  ],
  burrow_larder_damaged_total: [
    'Compressed NARs dropped because their file was missing or damaged',
    (stats) => stats.larder?.damaged ?? 0,
  ],
  burrow_tunnel_restarts_total: ['Starts of the connector after its first', (stats) => stats.tunnel?.restarts ?? 0],
}

export function createMetrics(version: string): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'burrow_build_info',
    help: 'Always 1; the version is in the label',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1)
  const exchanges = new Counter({
    name: 'burrow_requests_total',
    help: 'Requests answered, including interrupted ones',
    labelNames: ['route', 'status', 'complete'],
    registers,
  })
  const bytes = new Counter({
    name: 'burrow_sent_bytes_total',
    help: 'Body bytes sent',
    labelNames: ['route'],
    registers,
  })
  const seconds = new Histogram({
    name: 'burrow_request_seconds',
    help: 'From the request to the end of its reply',
    labelNames: ['route'],
    buckets: durationBuckets,
    registers,
  })

  const pushed = createPushCounters(registers)
  const usage = createUsageCounters(registers)
  let forget = () => {}

  return {
    count(exchange) {
      const { route, status, isComplete, bytes: sent, durationMs, push } = exchange
      exchanges.inc({ route, status, complete: String(isComplete) })
      if (sent > 0) bytes.inc({ route }, sent)
      seconds.observe({ route }, durationMs / 1000)
      if (push !== undefined) pushed.count(push)
      usage.count(exchange)
    },
    async format() {
      forget()
      return { contentType: registry.contentType, body: await registry.metrics() }
    },
    watch(readStats) {
      // Read once for all series: they belong together, and the stores count their rows for it.
      let stats: Stats | undefined
      forget = () => {
        stats = undefined
      }
      watch(registry, () => {
        stats ??= readStats()
        return stats
      })
    },
  }
}

function watch(registry: Registry, readStats: () => Stats): void {
  const registers = [registry]
  for (const [name, [help, read]] of Object.entries(gauges)) {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read(readStats()))
      },
    })
  }
  for (const [name, [help, read]] of Object.entries(counters)) {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read(readStats()))
      },
    })
  }
  const readStores = () => readStats().stores
  watchStores(registers, readStores)
  watchDepot(registers, readStores)
  watchTunnel(registers, readStats)
}

/** The state as a set, in OpenMetrics' words: a series for each state, of which one is 1. */
function watchTunnel(registers: Registry[], readStats: () => Stats): void {
  new Gauge({
    name: 'burrow_tunnel_state',
    help: '1 for the state the tunnel is in, 0 for all others',
    labelNames: ['state'],
    registers,
    collect() {
      const current = readStats().tunnel?.state ?? 'off'
      for (const state of tunnelStates) this.set({ state }, state === current ? 1 : 0)
    },
  })
  new Gauge({
    name: 'burrow_tunnel_last_connected_timestamp_seconds',
    help: 'When the tunnel was last connected; absent when it never was',
    labelNames: [],
    registers,
    collect() {
      const last = readStats().tunnel?.lastConnected
      if (last === undefined) this.remove()
      else this.set(last.getTime() / 1000)
    },
  })
}
