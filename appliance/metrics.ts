/** Metrics for Prometheus, told on the operator's listener only. No label holds what a stranger sent. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

import type { CacheStats, Exchange, LocalStoreHealth } from '../src/index.ts'

export interface Stats extends CacheStats {
  readonly store: LocalStoreHealth
}

export interface TrafficMetrics {
  count(exchange: Exchange): void
}

export interface Metrics extends TrafficMetrics {
  /** The text that `/metrics` shows. */
  format(): Promise<{ readonly contentType: string; readonly body: string }>
  /** Where to read the gauges from, once it is there. */
  watch(readStats: () => Stats): void
}

/** From a narinfo out of memory to a NAR of several GB. */
const durationBuckets = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800]

export function createMetrics(version: string): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({ name: 'burrow_build_info', help: 'Always 1; the label tells the version', labelNames: ['version'], registers }).set({ version }, 1)
  const exchanges = new Counter({
    name: 'burrow_requests_total',
    help: 'Requests answered, or cut while they were',
    labelNames: ['route', 'status', 'complete'],
    registers,
  })
  const bytes = new Counter({ name: 'burrow_sent_bytes_total', help: 'Body bytes sent', labelNames: ['route'], registers })
  const seconds = new Histogram({
    name: 'burrow_request_seconds',
    help: 'From the request to the end of its reply',
    labelNames: ['route'],
    buckets: durationBuckets,
    registers,
  })

  return {
    count({ route, status, isComplete, bytes: sent, durationMs }) {
      exchanges.inc({ route, status, complete: String(isComplete) })
      if (sent > 0) bytes.inc({ route }, sent)
      seconds.observe({ route }, durationMs / 1000)
    },
    async format() {
      return { contentType: registry.contentType, body: await registry.metrics() }
    },
    watch(readStats) {
      const gauges: Readonly<Record<string, readonly [help: string, read: (stats: Stats) => number]>> = {
        burrow_transfers: ['NARs on their way', (stats) => stats.transfersUnderWay],
        burrow_failed_logins: ['Failed logins since start', (stats) => stats.failedLogins],
        burrow_store_readable: ["0 when the store's database cannot be read", (stats) => (stats.store.database.access === 'none' ? 0 : 1)],
        burrow_store_withdrawn_paths: ['Paths out of service, since their files contradict their record', (stats) => stats.store.withdrawn.now],
        burrow_store_withdrawals: ['Paths taken out of service since start', (stats) => stats.store.withdrawn.total],
        burrow_lease_roots: ['Temporary roots held at the Nix daemon', (stats) => stats.store.leases.roots],
        burrow_leases_active: ['0 when no protection from garbage collection can be had', (stats) => (stats.store.leases.active ? 1 : 0)],
        burrow_larder_files: ['Compressed NARs kept', (stats) => stats.larder?.files ?? 0],
        burrow_larder_bytes: ['Bytes of the compressed NARs kept', (stats) => stats.larder?.bytes ?? 0],
        burrow_larder_max_bytes: ['The most the larder may hold', (stats) => stats.larder?.maxBytes ?? 0],
        burrow_larder_fills_under_way: ['Compressions under way', (stats) => stats.larder?.fillsUnderWay ?? 0],
        burrow_larder_fills: ['Compressions since start', (stats) => stats.larder?.fills ?? 0],
        burrow_larder_hits: ['NARs found in the larder since start', (stats) => stats.larder?.hits ?? 0],
        burrow_larder_evictions: ['Compressed NARs given up for room since start', (stats) => stats.larder?.evictions ?? 0],
        burrow_larder_writable: ['0 when nothing can be kept', (stats) => (stats.larder?.unwritable === undefined ? 1 : 0)],
      }
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
    },
  }
}
