/** The end of a tunnel: gracefully, by force, from any state, and without leaving anything behind. */
import { writeFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'

import { createScratchDir } from '../scratch-dir.ts'
import { connectorFile } from './scripted-launch.ts'
import { type ScriptedTunnel, startScripted } from './scripted-tunnel.ts'

const budgetMs = 15_000

async function expectNothingLeft({ tunnel, clock, memory, lifelines }: ScriptedTunnel): Promise<void> {
  expect(tunnel.status).toMatchObject({
    state: 'off',
    connections: 0,
    pid: undefined,
    metricsUrl: undefined,
    nextAttempt: undefined,
  })
  await Promise.all(lifelines.lives.map(({ over }) => over))
  expect(clock.pending).toBe(0)
  expect(memory.connectors).toEqual([])
}

test('stop lets the connector finish, and sends no second SIGTERM', async () => {
  await using scripted = await startScripted('slow-to-stop')
  await scripted.untilState('connected')
  const stops = [scripted.tunnel.stop(), scripted.tunnel.stop(), scripted.tunnel[Symbol.asyncDispose]()]
  // It still answers; what it says of itself from here on is no state of the tunnel.
  expect(scripted.tunnel.status).toMatchObject({
    state: 'connected',
    isStopping: true,
    reason: expect.stringContaining('is stopping'),
  })
  await Promise.all(stops)
  await expectNothingLeft(scripted)
  // Killed by a second signal, it would not have come to its last line; and a stop is no reason for loud ones.
  expect(scripted.entries.some(({ message }) => message === 'Metrics server stopped')).toBe(true)
  expect(scripted.entries.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
})

test('stop of a connector that is being given up sends no second SIGTERM', async () => {
  await using scripted = await startScripted('slow-to-stop')
  await scripted.untilState('connected')
  await scripted.script({ isSilent: true })
  scripted.clock.advance(30_000)
  await scripted.until(() => scripted.entries.some(({ message }) => message.startsWith('Initiating graceful shutdown')))
  await scripted.tunnel.stop()
  await expectNothingLeft(scripted)
  expect(scripted.entries.some(({ message }) => message === 'Metrics server stopped')).toBe(true)
})

test('a connector that ignores SIGTERM is killed when the grace period and its margin are over', async () => {
  await using scripted = await startScripted('ignores-sigterm')
  await scripted.untilState('connected')
  const stopped = scripted.tunnel.stop()
  const life = await scripted.lifelines.life(0)
  await scripted.until(() => scripted.entries.length > 0)
  scripted.clock.advance(budgetMs - 1)
  expect(life.isOver).toBe(false)
  expect(process.kill(life.pid, 0)).toBe(true)
  scripted.clock.advance(1)
  await stopped
  await expectNothingLeft(scripted)
  expect(
    scripted.entries.some(
      ({ level, message }) => level === 'warn' && /did not stop within the grace period and was killed/.test(message),
    ),
  ).toBe(true)
})

test('what the connector has started is killed with it: it may be a script around the real one', async () => {
  await using dir = await createScratchDir()
  const path = dir.file('cloudflared')
  await writeFile(
    path,
    `#!/bin/sh\ntrap '' TERM\n"${connectorFile('ignores-sigterm')}" "$@" &\nwhile :; do wait; done\n`,
    { mode: 0o755 },
  )
  await using scripted = await startScripted('', { parts: { findBinary: async () => ({ path, version: undefined }) } })
  await scripted.untilState('connected')
  const [inner] = scripted.lifelines.lives
  expect(inner!.pid).not.toBe(scripted.tunnel.status.pid)
  const stopped = scripted.tunnel.stop()
  scripted.clock.advance(budgetMs)
  await stopped
  await expectNothingLeft(scripted)
})

test.each([
  ['starting', 'never-ready'],
  ['connected', 'connects'],
  ['backing-off', 'exits-silently'],
  ['failed', 'refuses-the-token'],
] as const)('stop while %s leaves nothing behind', async (state, behaviour) => {
  await using scripted = await startScripted(behaviour)
  if (state === 'starting') await scripted.until(() => scripted.tunnel.status.metricsUrl !== undefined)
  else await scripted.untilState(state)
  await scripted.tunnel.stop()
  await expectNothingLeft(scripted)
})

test('stop in the moment of the start starts nothing', async () => {
  await using scripted = await startScripted('connects')
  await scripted.tunnel.stop()
  await expectNothingLeft(scripted)
  expect(scripted.prepared()).toBe(0)
})

test('stop while a launch is being prepared takes its secret away and starts nothing', async () => {
  const called = Promise.withResolvers<void>()
  const { promise, resolve } = Promise.withResolvers<void>()
  let forgotten = 0
  const prepareLaunch = async () => {
    called.resolve()
    await promise
    const forgetSecret = async () => {
      forgotten += 1
    }
    return {
      command: '/nowhere',
      args: [],
      env: {},
      configFile: '/nowhere',
      metrics: undefined,
      tunnelId: undefined,
      secrets: [],
      forgetSecret,
    }
  }
  await using scripted = await startScripted('connects', { parts: { prepareLaunch } })
  await called.promise
  const stopped = scripted.tunnel.stop()
  resolve()
  await stopped
  expect(forgotten).toBe(1)
  await expectNothingLeft(scripted)
})

test('stop does not wait for ever for a launch that is never prepared', async () => {
  const called = Promise.withResolvers<void>()
  const prepareLaunch = () => {
    called.resolve()
    return new Promise<never>(() => {})
  }
  await using scripted = await startScripted('connects', { parts: { prepareLaunch } })
  await called.promise
  const stopped = scripted.tunnel.stop()
  scripted.clock.advance(5_000)
  await stopped
  await expectNothingLeft(scripted)
})

test('the secret is taken away as soon as the connector listens', async () => {
  await using scripted = await startScripted('never-ready')
  await scripted.until(() => scripted.forgotten() > 0)
  expect(scripted.tunnel.status.state).toBe('starting')
})

test('a listener that throws, and a memory that cannot be written, harm nothing', async () => {
  const fail = async () => {
    throw new Error('ENOSPC')
  }
  const memory = { connectors: [], addConnector: fail, removeConnector: fail, remember: fail }
  const onStatus = () => {
    throw new Error('listener')
  }
  await using scripted = await startScripted('connects', { parts: { memory, onStatus } })
  await scripted.until(() => scripted.tunnel.status.state === 'connected')
  await scripted.until(() =>
    scripted.entries.some(({ message }) => message.startsWith('Cannot record the process of the connector')),
  )
  await scripted.tunnel.stop()
  expect(scripted.tunnel.status.state).toBe('off')
})
