/** A connector that lives: what its answers and its log make of the tunnel's state. */
import { expect, test } from '@jest/globals'

import { connectorId, tunnelId } from '../../fixtures/connectors/scripted.mjs'
import { startScripted } from './scripted-tunnel.ts'

const lost = (connections: number) => ({
  connections,
  say: [{ level: 'info', message: 'Lost connection with the edge', connIndex: 0 }],
})
const unauthorized = [
  {
    level: 'error',
    message: 'Register tunnel error from server side',
    error: 'Unauthorized: Invalid tunnel secret',
    connIndex: 0,
  },
]

test('connected tells connections, identities, hostname and where the metrics are', async () => {
  await using scripted = await startScripted('connects')
  const { tunnel, until } = scripted
  await until(() => tunnel.status.connections === 4)
  expect(tunnel.status).toMatchObject({
    state: 'connected',
    mode: 'token',
    hostname: 'cache.example.com',
    connectorId,
    tunnelId,
    binary: { version: '2026.8.2' },
    pid: scripted.lifelines.lives[0]!.pid,
    metricsUrl: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    restarts: 0,
    nextAttempt: undefined,
    remedy: undefined,
  })
  expect(scripted.history.find(({ state }) => state === 'connected')!.hostname).toBe('cache.example.com')
})

test('a quick tunnel is known by the name that the edge gave', async () => {
  await using scripted = await startScripted('connects-quickly', { settings: { mode: 'quick' } })
  const { hostname, connections } = await scripted.untilState('connected')
  expect({ hostname, connections }).toEqual({ hostname: 'random-words.trycloudflare.com', connections: 1 })
})

test('a ramp up is not degraded', async () => {
  await using scripted = await startScripted('never-ready')
  await scripted.until(() => scripted.tunnel.status.metricsUrl !== undefined)
  for (const connections of [1, 2, 3, 4]) {
    await scripted.script({
      connections,
      say: [{ level: 'info', message: 'Registered tunnel connection', connIndex: connections - 1 }],
    })
    await scripted.pollUntil(() => scripted.tunnel.status.connections === connections)
  }
  expect(scripted.history.map(({ state }) => state)).not.toContain('degraded')
})

test('one lost connection is degraded when it stays away for 30 s, and connected again when it comes back', async () => {
  await using scripted = await startScripted('connects')
  const { tunnel, clock, until, script, pollUntil } = scripted
  await until(() => tunnel.status.connections === 4)
  await script(lost(3))
  const lostAt = await pollUntil(() => tunnel.status.connections === 3).then(clock.now)
  expect(tunnel.status.state).toBe('connected')
  await pollUntil(() => tunnel.status.state === 'degraded')
  expect(tunnel.status.since.getTime() - lostAt).toBeGreaterThanOrEqual(25_000)
  expect(tunnel.status.since.getTime() - lostAt).toBeLessThanOrEqual(30_000)
  expect(tunnel.status.reason).toMatch(/^3 of 4 connections/)
  await script({ connections: 4 })
  await pollUntil(() => tunnel.status.state === 'connected')
  expect(tunnel.status.connections).toBe(4)
})

test('reconnecting begins when all connections are lost, keeps its since, and ends without a restart', async () => {
  await using scripted = await startScripted('connects')
  const { tunnel, script, pollUntil } = scripted
  await scripted.until(() => tunnel.status.connections === 4)
  await script(lost(0))
  await pollUntil(() => tunnel.status.state === 'reconnecting')
  const { since } = tunnel.status
  await scripted.poll(3)
  expect(tunnel.status).toMatchObject({ state: 'reconnecting', since, connections: 0 })
  await script({ connections: 1 })
  await pollUntil(() => tunnel.status.state === 'connected')
  expect(tunnel.status.restarts).toBe(0)
  expect(tunnel.status.since.getTime()).toBeGreaterThan(since.getTime())
})

test('a lost connection is noticed by its line, before the next question is due', async () => {
  await using scripted = await startScripted('connects')
  await scripted.until(() => scripted.tunnel.status.connections === 4)
  scripted.clock.advance(1_000)
  await scripted.script(lost(0))
  scripted.clock.advance(250)
  expect((await scripted.untilState('reconnecting')).connections).toBe(0)
})

test('a blocked port 7844 is named while starting', async () => {
  await using scripted = await startScripted('blocked-port')
  await scripted.until(() => scripted.tunnel.status.remedy !== undefined)
  expect(scripted.tunnel.status).toMatchObject({
    state: 'starting',
    reason: expect.stringContaining('dial tcp 198.51.100.1:7844: i/o timeout'),
  })
  expect(scripted.tunnel.status.remedy).toMatch(/outbound connections .* 7844, TCP/)
})

test('a token refused while nothing is connected ends the connector, fails loudly, and is tried again minutes later', async () => {
  await using scripted = await startScripted('unauthorized')
  const { reason, remedy, nextAttempt, pid } = await scripted.untilState('failed')
  expect(reason).toBe('the edge refuses the token: Unauthorized: Invalid tunnel secret')
  expect(remedy).toMatch(/copy the token again/)
  expect(pid).toBeUndefined()
  expect(nextAttempt!.getTime() - scripted.clock.now()).toBe(225_000)
  expect(
    scripted.entries.filter(({ level, message }) => level === 'error' && message.startsWith('The tunnel is failed')),
  ).toHaveLength(1)
  await (await scripted.lifelines.life(0)).over

  scripted.clock.advance(224_000)
  expect(scripted.prepared()).toBe(1)
  scripted.clock.advance(1_000)
  await scripted.lifelines.life(1)
  await scripted.untilState('failed')
  expect(scripted.tunnel.status.nextAttempt!.getTime() - scripted.clock.now()).toBe(450_000)
})

test('a token rotated while connections live is degraded, told once, and leaves them alone', async () => {
  await using scripted = await startScripted('connects')
  const { tunnel, script, poll, pollUntil, entries } = scripted
  await scripted.until(() => tunnel.status.connections === 4)
  await script({ connections: 3, say: unauthorized })
  await pollUntil(() => tunnel.status.state === 'degraded')
  expect(tunnel.status.reason).toMatch(
    /refuses the token: Unauthorized: Invalid tunnel secret; 3 connections made earlier still work/,
  )
  for (const say of [unauthorized, unauthorized]) {
    await script({ say })
    await poll(1)
  }
  expect(tunnel.status).toMatchObject({ state: 'degraded', connections: 3 })
  expect(entries.filter(({ message }) => message.startsWith('The tunnel is degraded'))).toHaveLength(1)
  expect(scripted.lifelines.lives.map(({ isOver }) => isOver)).toEqual([false])

  await script({ connections: 0, say: unauthorized })
  await pollUntil(() => tunnel.status.state !== 'degraded')
  await scripted.untilState('failed')
})

test('ingress rules of the edge that do not name the hostname are degraded until they do', async () => {
  await using scripted = await startScripted('connects', { settings: { hostname: 'nix.example.com' } })
  const { tunnel, script, pollUntil } = scripted
  await scripted.until(() => tunnel.status.connections === 4)
  expect(tunnel.status).toMatchObject({ state: 'connected', hostname: 'nix.example.com' })
  const push = (version: number, hostname: string) => ({
    config: { version, config: { ingress: [{ hostname, service: 'http://x' }, { service: 'http_status:404' }] } },
    say: [{ level: 'info', message: 'Updated to new configuration', version, config: '{}' }],
  })
  await script(push(0, 'cache.example.com'))
  await pollUntil(() => tunnel.status.state === 'degraded')
  expect(tunnel.status.reason).toBe('no ingress rule of the tunnel at Cloudflare is for nix.example.com')
  await script(push(1, 'nix.example.com'))
  await pollUntil(() => tunnel.status.state === 'connected')
})

test('a connector that stops answering is degraded, then ended as hanging, then started again', async () => {
  await using scripted = await startScripted('connects')
  const { tunnel, script, clock, until } = scripted
  await until(() => tunnel.status.connections === 4)
  await script({ isSilent: true })
  // Each question is given up after 5 s; nobody answers any of them.
  for (let pauseMs = 5_000; tunnel.status.state === 'connected'; pauseMs = 1_000) {
    const asked = clock.set(250)
    clock.advance(pauseMs + 5_000)
    await Promise.race([asked, until(() => tunnel.status.state !== 'connected')])
  }
  expect(tunnel.status).toMatchObject({ state: 'degraded', reason: expect.stringContaining('does not answer') })
  clock.advance(30_000)
  await scripted.untilState('backing-off')
  expect(tunnel.status).toMatchObject({
    reason: 'cloudflared hangs: it has not answered for 30 s',
    pid: undefined,
    connections: 0,
  })
  clock.advance(1_000)
  expect((await scripted.untilState('connected')).restarts).toBe(1)
})

test('a connector that never comes as far as answering is ended after 90 s', async () => {
  await using scripted = await startScripted('never-answers')
  const life = await scripted.lifelines.life(0)
  await scripted.until(() => scripted.entries.some(({ message }) => message === 'Starting tunnel'))
  scripted.clock.advance(89_000)
  expect(scripted.tunnel.status.state).toBe('starting')
  scripted.clock.advance(1_000)
  expect((await scripted.untilState('backing-off')).reason).toMatch(/^cloudflared hangs: 90 s after its start/)
  expect(life.isOver).toBe(true)
})

test('metrics that are not on loopback are not believed, nor asked', async () => {
  await using scripted = await startScripted('listens-elsewhere')
  await scripted.until(() => scripted.entries.some(({ message }) => message === 'Starting tunnel'))
  expect(scripted.tunnel.status.metricsUrl).toBeUndefined()
  expect(scripted.clock.count(5_000)).toBe(0)
})

test('a connector that somebody else tells to end is told as such', async () => {
  await using scripted = await startScripted('connects')
  await scripted.untilState('connected')
  process.kill(scripted.tunnel.status.pid!, 'SIGTERM')
  expect((await scripted.untilState('backing-off')).reason).toMatch(
    /ended from outside \(signal terminated\), not by Burrow/,
  )
})

test('retry while connections live without a valid login leaves them alone, and has the new one taken as soon as they are lost', async () => {
  await using scripted = await startScripted('connects')
  const { tunnel, script, pollUntil } = scripted
  await scripted.until(() => tunnel.status.connections === 4)
  await script({ connections: 2, say: unauthorized })
  await pollUntil(() => tunnel.status.state === 'degraded')
  expect(tunnel.status.remedy).toMatch(/SIGHUP/)
  tunnel.retry()
  await scripted.poll(2)
  expect([tunnel.status.connections, scripted.prepared()]).toEqual([2, 1])
  await script({ connections: 0, say: unauthorized })
  await pollUntil(() => scripted.prepared() === 2)
  await pollUntil(() => tunnel.status.connections === 4)
  expect(scripted.history.map(({ state }) => state)).not.toContain('failed')
  expect(tunnel.status).toMatchObject({
    state: 'connected',
    restarts: 1,
    lastError: expect.stringContaining('Unauthorized'),
  })
  // The word is good for one start: the next refusal is waited out.
  await script({ connections: 0, say: unauthorized })
  await pollUntil(() => tunnel.status.state === 'failed')
  expect(scripted.prepared()).toBe(2)
})
