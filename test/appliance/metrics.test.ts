import { describe, expect, test } from '@jest/globals'

import { createMetrics, type Stats } from '../../appliance/operator/metrics.ts'
import type { TunnelStatus } from '../../appliance/tunnel/tunnel.ts'
import { sampleReport } from './sample-report.ts'

const tunnel: TunnelStatus = {
  ...{ mode: 'quick', hostname: undefined, tunnelId: undefined, connectorId: undefined, binary: undefined, pid: undefined, metricsUrl: undefined },
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
  larder: sampleReport.larder!,
  stores: sampleReport.stores,
  tunnel,
}

async function scrape(current: Stats) {
  const metrics = createMetrics('1.2.3')
  metrics.watch(() => current)
  // Twice: what is read from elsewhere must not be added up.
  await metrics.format()
  return (await metrics.format()).body
}

const typesOf = (body: string) => new Map([...body.matchAll(/^# TYPE (burrow_\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]))

describe('metrics', () => {
  test('what only grows is a counter and named so, and nothing else is', async () => {
    for (const [name, type] of typesOf(await scrape(stats))) expect([name, type === 'counter']).toEqual([name, name.endsWith('_total')])
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

  test('the state of the tunnel is a set of which one member is 1', async () => {
    const states = [...(await scrape(stats)).matchAll(/^burrow_tunnel_state\{state="([\w-]+)"\} (\d)$/gm)].map(([, state, value]) => [state, value])
    expect(states).toHaveLength(8)
    expect(states.filter(([, value]) => value === '1')).toEqual([['degraded', '1']])
  })

  test('a tunnel that never was is off, and was never connected', async () => {
    const body = await scrape({ ...stats, tunnel: undefined })
    expect(body).toContain('burrow_tunnel_state{state="off"} 1')
    expect(body).not.toMatch(/^burrow_tunnel_last_connected_timestamp_seconds \d/m)
  })
})
