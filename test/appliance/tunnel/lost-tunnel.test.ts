/**
 * A connector that has lost everything: left alone while it dials, replaced while it sleeps, and ended at once when
 * there is nothing to wait for.
 */
import { expect, test } from '@jest/globals'

import { findFreePort } from '../../../appliance/tunnel/launch/free-port.ts'
import { createLaunch } from './scripted-launch.ts'
import { type ScriptedTunnel, startScripted } from './scripted-tunnel.ts'

const hasEnded = ({ lifelines }: ScriptedTunnel, index: number) => lifelines.lives[index]?.isOver === true

test('one that sleeps instead of dialling is replaced at once, however often, without a growing wait', async () => {
  await using scripted = await startScripted('connects')
  const { tunnel, clock, script, pollUntil } = scripted
  for (const restarts of [1, 2, 3, 4]) {
    await scripted.untilState('connected')
    const lostAt = clock.now()
    await script({
      connections: 0,
      links: 0,
      say: [{ level: 'info', message: 'Lost connection with the edge', connIndex: 0 }],
    })
    await pollUntil(() => tunnel.status.restarts === restarts)
    expect(clock.now() - lostAt).toBeLessThanOrEqual(15_000)
    expect(hasEnded(scripted, restarts - 1)).toBe(true)
  }
  expect(scripted.history.map(({ state }) => state)).not.toContain('backing-off')
  expect(scripted.entries.filter(({ level }) => level === 'error')).toEqual([])
})

test('one that dials is left alone: it knows the addresses of the edge', async () => {
  await using scripted = await startScripted('connects')
  const { tunnel, script, pollUntil, poll } = scripted
  await scripted.untilState('connected')
  await script({ connections: 0, links: 4 })
  await pollUntil(() => tunnel.status.state === 'reconnecting')
  await poll(8)
  expect(tunnel.status).toMatchObject({ state: 'reconnecting', restarts: 0 })
  await script({ connections: 4 })
  await pollUntil(() => tunnel.status.state === 'connected')
  expect(tunnel.status.restarts).toBe(0)
})

test('a quick tunnel is left alone, since another start would have another name', async () => {
  await using scripted = await startScripted('connects-quickly', { settings: { mode: 'quick' } })
  await scripted.untilState('connected')
  await scripted.script({ connections: 0, links: 0 })
  await scripted.pollUntil(() => scripted.tunnel.status.state === 'reconnecting')
  await scripted.poll(8)
  expect(scripted.tunnel.status).toMatchObject({ restarts: 0, hostname: 'random-words.trycloudflare.com' })
})

test('a stop while the tunnel is down ends it at once', async () => {
  await using scripted = await startScripted('stays-when-told-to-end', { settings: { graceMs: 180_000 } })
  await scripted.untilState('connected')
  await scripted.script({ connections: 0 })
  await scripted.pollUntil(() => scripted.tunnel.status.state === 'reconnecting')
  const stopped = scripted.tunnel.stop()
  scripted.clock.advance(500)
  await stopped
  expect(scripted.tunnel.status.state).toBe('off')
  expect(scripted.entries.filter(({ message }) => /was killed/.test(message))).toEqual([])
})

test('a stop lets requests go on, and ends when the last connection goes', async () => {
  await using scripted = await startScripted('stays-when-told-to-end', { settings: { graceMs: 180_000 } })
  const { tunnel, clock, script } = scripted
  await scripted.until(() => tunnel.status.connections === 4)
  const { metricsUrl } = tunnel.status
  const stopped = tunnel.stop()
  let isOver = false
  void stopped.then(() => {
    isOver = true
  })
  await scripted.until(() => scripted.entries.some(({ message }) => message.startsWith('Initiating graceful shutdown')))
  for (let asked = 0; asked < 4; asked++) {
    const answered = clock.set(500)
    clock.advance(500)
    await answered
  }
  expect(isOver).toBe(false)
  expect(metricsUrl).toBeDefined()
  await script({ connections: 0, links: 0 })
  while (!isOver) {
    const answered = clock.set(500)
    clock.advance(500)
    await Promise.race([answered, stopped])
  }
  expect(scripted.entries.filter(({ message }) => /was killed/.test(message))).toEqual([])
})

test('a connector whose log says nothing is asked all the same: where it answers was ours to choose', async () => {
  await using scripted = await startAtOwnPort('tells-no-port')
  await scripted.until(() => scripted.entries.some(({ message }) => message === 'Settings: map[]'))
  await scripted.pollUntil(() => scripted.tunnel.status.state === 'connected')
  expect(scripted.tunnel.status.metricsUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
})

test('a connector whose line about its port is garbled is understood', async () => {
  await using scripted = await startScripted('garbles-its-log', { settings: { logLevel: 'debug' } })
  await scripted.untilState('connected')
  await scripted.until(() => scripted.entries.some(({ message }) => message.startsWith('Starting metrics server')))
  expect(scripted.entries.filter(({ message }) => message.startsWith('{') || message === '}')).toEqual([])
})

async function startAtOwnPort(behaviour: string): Promise<ScriptedTunnel> {
  const port = await findFreePort('127.0.0.1')
  const { env } = createLaunch(behaviour, 0)
  const launch = { metrics: { host: '127.0.0.1', port }, env: { ...env, TUNNEL_METRICS: `127.0.0.1:${port}` } } as const
  return await startScripted(behaviour, { launch, settings: { logLevel: 'debug' } })
}
