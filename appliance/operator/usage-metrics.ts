/** Metrics of usage: what was asked for in vain, and what compression saved. Deltas have their own, in metrics.ts. */
import { Counter, type Registry } from 'prom-client'

import type { Exchange } from '../../src/index.ts'
import { savedBytesOf } from '../analytics/saved-bytes.ts'

export function createUsageCounters(registers: Registry[]): { count(exchange: Exchange): void } {
  const misses = new Counter({
    name: 'burrow_narinfo_misses_total',
    help: 'Paths that users asked for and that no store has',
    registers,
  })
  const saved = new Counter({
    name: 'burrow_compression_saved_bytes_total',
    help: 'Bytes that compression saved, compared with uncompressed NARs',
    registers,
  })
  return {
    count(exchange) {
      if (exchange.missed !== undefined) misses.inc(exchange.missed.length)
      if (exchange.nar === undefined) return
      const found = savedBytesOf(exchange)
      if (found?.by === 'compression') saved.inc(found.bytes)
    },
  }
}
