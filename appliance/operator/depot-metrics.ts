/** Metrics of the depot and of pushes. Without a depot its series are absent. */
import { Counter, Gauge, type Registry } from 'prom-client'

import type { DepotHealth, PushTally, StoreHealth } from '../../src/index.ts'

export function createPushCounters(registers: Registry[]): { count(tally: PushTally): void } {
  const paths = new Counter({
    name: 'burrow_pushed_paths_total',
    help: 'Store paths that were pushed and are new here',
    registers,
  })
  const refused = new Counter({
    name: 'burrow_push_refused_paths_total',
    help: 'Store paths that were refused when pushed, conflicts included',
    registers,
  })
  const bytes = new Counter({ name: 'burrow_received_bytes_total', help: 'Body bytes of pushes received', registers })
  return {
    count({ registered, refused: refusals, receivedBytes }) {
      if (registered > 0) paths.inc(registered)
      if (refusals > 0) refused.inc(refusals)
      if (receivedBytes > 0) bytes.inc(receivedBytes)
    },
  }
}

const gauges: Readonly<Record<string, readonly [help: string, read: (depot: DepotHealth) => number]>> = {
  burrow_depot_objects: ['Store paths in the depot', ({ objects }) => objects],
  burrow_depot_nars: ['NAR files in the depot; paths with equal contents share one', ({ nars }) => nars],
  burrow_depot_bytes: ['Bytes that the depot uses, unfinished uploads included', ({ usedBytes }) => usedBytes],
  burrow_depot_max_bytes: ['Maximum size of the depot in bytes', ({ maxBytes }) => maxBytes],
  burrow_depot_free_bytes: [
    'What the disk of the depot has left, down to "depot.keepFree"',
    ({ freeBytes }) => freeBytes,
  ],
  burrow_depot_pins: ['Pins', ({ pins }) => pins],
  burrow_depot_damaged_nars: [
    'NARs whose file is missing or wrong: out of service until they are pushed again',
    ({ damaged }) => damaged,
  ],
  burrow_depot_unfinished_uploads: ['Unfinished uploads', ({ unfinishedUploads }) => unfinishedUploads],
  burrow_depot_unfinished_bytes: ['Bytes of unfinished uploads', ({ unfinishedBytes }) => unfinishedBytes],
  burrow_depot_refused_today: [
    'Paths refused since midnight UTC, conflicts included',
    ({ refusedToday }) => refusedToday,
  ],
  burrow_depot_short: [
    '1 when the last push failed for lack of disk space',
    ({ shortage }) => (shortage === undefined ? 0 : 1),
  ],
}

export function watchDepot(registers: Registry[], readStores: () => readonly StoreHealth[]): void {
  const findDepot = () => readStores().find(({ depot }) => depot !== undefined)?.depot
  for (const [name, [help, read]] of Object.entries(gauges)) {
    new Gauge({
      name,
      help,
      // A gauge with an empty list of labels can be absent.
      labelNames: [],
      registers,
      collect() {
        const depot = findDepot()
        if (depot === undefined) this.remove()
        else this.set(read(depot))
      },
    })
  }
  new Gauge({
    name: 'burrow_depot_pushed_today_bytes',
    help: 'Bytes pushed since midnight UTC, by user',
    labelNames: ['user'],
    registers,
    collect() {
      this.reset()
      for (const { user, bytes } of findDepot()?.pushedToday ?? []) this.set({ user }, bytes)
    },
  })
}
