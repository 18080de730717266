/** The stores as Prometheus metrics: a series for each store, by its name in the configuration. */
import { Counter, Gauge, type Registry } from 'prom-client'

import type { StoreHealth } from '../../src/index.ts'

type StoreReadings = Readonly<
  Record<string, readonly [help: string, read: (health: StoreHealth) => number | undefined]>
>

const storeGauges: StoreReadings = {
  burrow_store_readable: ['0 when the store cannot be read', ({ isReadable }) => (isReadable ? 1 : 0)],
  burrow_store_withdrawn_paths: [
    'Paths out of service, since their files contradict their record',
    ({ withdrawn }) => withdrawn.now,
  ],
  burrow_published_paths: ['Paths of the Nix store that are published', ({ published }) => published?.paths],
  burrow_upstream_breaker_open: [
    '1 while an upstream is not asked because it failed several times in a row',
    ({ upstream }) => upstream && (upstream.isBreakerOpen ? 1 : 0),
  ],
  burrow_lease_roots: ['Temporary roots held at the Nix daemon', ({ leases }) => leases?.roots],
  burrow_leases_active: [
    '0 when paths are not protected from garbage collection',
    ({ leases }) => leases && (leases.active ? 1 : 0),
  ],
}

const storeCounters: StoreReadings = {
  burrow_upstream_lookups_total: ['Narinfos that an upstream was asked for', ({ upstream }) => upstream?.lookups],
  burrow_upstream_hits_total: ['Narinfos that an upstream had', ({ upstream }) => upstream?.hits],
  burrow_upstream_misses_total: [
    'Narinfos that an upstream did not have, or that were not accepted',
    ({ upstream }) => upstream?.misses,
  ],
  burrow_upstream_failures_total: ['Lookups that an upstream did not answer', ({ upstream }) => upstream?.failures],
  burrow_upstream_skipped_total: [
    'Lookups answered as absent without asking the upstream',
    ({ upstream }) => upstream?.skipped,
  ],
  burrow_upstream_received_bytes_total: [
    'Bytes of NAR files received from an upstream',
    ({ upstream }) => upstream?.receivedBytes,
  ],
  burrow_store_withdrawals_total: ['Paths taken out of service', ({ withdrawn }) => withdrawn.total],
}

export function watchStores(registers: Registry[], readStores: () => readonly StoreHealth[]): void {
  for (const [name, [help, read]] of Object.entries(storeGauges)) {
    new Gauge({
      name,
      help,
      labelNames: ['store'],
      registers,
      collect() {
        for (const health of readStores()) {
          const value = read(health)
          if (value !== undefined) this.set({ store: health.name }, value)
        }
      },
    })
  }
  for (const [name, [help, read]] of Object.entries(storeCounters)) {
    new Counter({
      name,
      help,
      labelNames: ['store'],
      registers,
      collect() {
        this.reset()
        for (const health of readStores()) {
          const value = read(health)
          if (value !== undefined) this.inc({ store: health.name }, value)
        }
      },
    })
  }
}
