import { describe, expect, test } from '@jest/globals'

import { createMetrics, type Stats } from '../../appliance/operator/metrics.ts'
import type { TunnelStatus } from '../../appliance/tunnel/tunnel.ts'
import { sampleDepot, sampleLarder, sampleStores, sampleUpstream } from './sample-report.ts'

const tunnel: TunnelStatus = {
  ...{
    mode: 'quick',
    hostname: undefined,
    tunnelId: undefined,
    connectorId: undefined,
    binary: undefined,
    pid: undefined,
    metricsUrl: undefined,
  },
  state: 'degraded',
  since: new Date(),
  reason: 'two connections are lost',
  remedy: undefined,
  connections: 2,
  isStopping: false,
  restarts: 3,
  lastConnected: new Date(1_900_000_000_000),
  nextAttempt: undefined,
  lastError: 'hostile "text"',
}

const stats: Stats = {
  transfersUnderWay: 7,
  transfersWaiting: 2,
  failedLogins: 9,
  answersAbsent: false,
  larder: sampleLarder,
  stores: sampleStores,
  tunnel,
}

async function scrape(current: Stats) {
  const metrics = createMetrics('1.2.3')
  metrics.watch(() => current)
  // Twice: what is read from elsewhere must not be added up.
  await metrics.format()
  return (await metrics.format()).body
}

const typesOf = (body: string) =>
  new Map([...body.matchAll(/^# TYPE (burrow_\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]))

describe('metrics', () => {
  test('what only grows is a counter and named so, and nothing else is', async () => {
    for (const [name, type] of typesOf(await scrape(stats)))
      expect([name, type === 'counter']).toEqual([name, name.endsWith('_total')])
  })

  test('the larder, the logins and the tunnel are told as they stand', async () => {
    const body = await scrape(stats)
    for (const line of [
      'burrow_larder_hits_total 980',
      'burrow_larder_fills_total 20',
      `burrow_larder_bytes ${5 * 2 ** 30}`,
      'burrow_failed_logins_total 9',
      'burrow_tunnel_connections 2',
      'burrow_tunnel_restarts_total 3',
      'burrow_tunnel_last_connected_timestamp_seconds 1900000000',
    ]) {
      expect(body.split('\n')).toContain(line)
    }
    expect(body).not.toContain('hostile')
  })

  test('the depot is told as it stands, with what each user pushed today, and is absent where there is none', async () => {
    const upstream = { ...sampleUpstream, isReadable: false, problem: 'hostile "text"' }
    const body = await scrape({ ...stats, stores: [sampleDepot, upstream] })
    for (const line of [
      'burrow_depot_objects 1234',
      `burrow_depot_bytes ${12 * 2 ** 30}`,
      `burrow_depot_max_bytes ${50 * 2 ** 30}`,
      `burrow_depot_free_bytes ${100 * 2 ** 30}`,
      'burrow_depot_pins 3',
      'burrow_depot_damaged_nars 0',
      'burrow_depot_unfinished_uploads 0',
      'burrow_depot_refused_today 0',
      'burrow_depot_short 0',
      `burrow_depot_pushed_today_bytes{user="ci"} ${2 ** 30}`,
      'burrow_store_readable{store="depot"} 1',
      'burrow_store_readable{store="upstream:https://cache.nixos.org"} 0',
      'burrow_upstream_lookups_total{store="upstream:https://cache.nixos.org"} 100',
      'burrow_upstream_hits_total{store="upstream:https://cache.nixos.org"} 70',
      'burrow_upstream_misses_total{store="upstream:https://cache.nixos.org"} 20',
      'burrow_upstream_failures_total{store="upstream:https://cache.nixos.org"} 10',
      'burrow_upstream_skipped_total{store="upstream:https://cache.nixos.org"} 5',
      'burrow_upstream_received_bytes_total{store="upstream:https://cache.nixos.org"} 123456',
      'burrow_upstream_breaker_open{store="upstream:https://cache.nixos.org"} 0',
    ]) {
      expect(body.split('\n')).toContain(line)
    }
    expect(body).not.toContain('hostile')
    expect(body).not.toContain('burrow_upstream_lookups_total{store="depot"}')
    expect(await scrape(stats)).not.toMatch(/^burrow_depot/m)
  })

  test('the stores are looked at once for each scrape', async () => {
    const metrics = createMetrics('1.2.3')
    let looks = 0
    metrics.watch(() => {
      looks++
      return { ...stats, stores: [sampleDepot] }
    })
    await metrics.format()
    await metrics.format()
    expect(looks).toBe(2)
  })

  test('the state of the tunnel is a set of which one member is 1', async () => {
    const states = [...(await scrape(stats)).matchAll(/^burrow_tunnel_state\{state="([\w-]+)"\} (\d)$/gm)].map(
      ([, state, value]) => [state, value],
    )
    expect(states).toHaveLength(8)
    expect(states.filter(([, value]) => value === '1')).toEqual([['degraded', '1']])
  })

  test('a tunnel that never was is off, and was never connected', async () => {
    const body = await scrape({ ...stats, tunnel: undefined })
    expect(body).toContain('burrow_tunnel_state{state="off"} 1')
    expect(body).not.toMatch(/^burrow_tunnel_last_connected_timestamp_seconds \d/m)
  })
})
