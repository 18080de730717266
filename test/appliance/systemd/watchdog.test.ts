import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Socket } from 'node:net'
import { describe, expect, test } from '@jest/globals'

import { findWatchdogIntervalMs, isAnswering, startWatchdog } from '../../../appliance/systemd/watchdog.ts'
import { silentLog } from '../../../src/index.ts'
import { createScratchDir } from '../scratch-dir.ts'

test.each([
  [{}, undefined],
  [{ WATCHDOG_USEC: '60000000' }, 30_000],
  [{ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '7' }, 30_000],
  [{ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '8' }, undefined],
  [{ WATCHDOG_USEC: '0' }, undefined],
  [{ WATCHDOG_USEC: 'soon' }, undefined],
  [{ WATCHDOG_USEC: '1' }, 1],
])('findWatchdogIntervalMs of %j is %j', (env, expected) => {
  expect(findWatchdogIntervalMs(env, 7)).toBe(expected)
})

describe('isAnswering', () => {
  const at = (server: { address(): unknown }) =>
    ({ kind: 'tcp', host: '127.0.0.1', port: (server.address() as { port: number }).port }) as const

  test('isAnswering is true for an HTTP server, whose handler does not hear of it', async () => {
    let requests = 0
    const server = createHttpServer(() => requests++).listen(0, '127.0.0.1')
    await once(server, 'listening')
    expect([await isAnswering(at(server), 10_000), requests]).toEqual([true, 0])
    server.close()
  })

  test('isAnswering is true for a unix socket', async () => {
    await using dir = await createScratchDir()
    const server = createHttpServer().listen(dir.file('s'))
    await once(server, 'listening')
    expect(await isAnswering({ kind: 'unix', path: dir.file('s') }, 10_000)).toBe(true)
    server.close()
  })

  test('isAnswering is true for a server that has too many connections and closes this one', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    server.maxConnections = 0
    await once(server, 'listening')
    expect(await isAnswering(at(server), 10_000)).toBe(true)
    server.close()
  })

  test('isAnswering is false where nobody listens, and where the kernel accepts and nobody speaks', async () => {
    const sockets: Socket[] = []
    const server = createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = at(server)
    expect(await isAnswering(address, 20)).toBe(false)
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
    expect(await isAnswering(address, 10_000)).toBe(false)
    expect(await isAnswering({ kind: 'unix', path: '/nonexistent/s' }, 10_000)).toBe(false)
  })
})

describe('startWatchdog', () => {
  function start() {
    const rounds: (() => void)[] = []
    const events: string[] = []
    const state = { isAlive: true }
    const watchdog = startWatchdog({
      intervalMs: 30_000,
      isAlive: async () => state.isAlive,
      tell: async () => void events.push('told'),
      after: (_ms, callback) => {
        rounds.push(callback)
        return () => void events.push('cancelled')
      },
      log: { ...silentLog, error: (_fields, message) => void events.push(message) },
    })
    const next = async () => {
      rounds.shift()!()
      // What the round awaits are promises alone.
      await new Promise(setImmediate)
    }
    return { watchdog, events, state, next }
  }

  test('startWatchdog tells at once and in each round, but not while nobody answers', async () => {
    const { events, state, next } = start()
    await new Promise(setImmediate)
    expect(events).toEqual(['told'])
    state.isAlive = false
    await next()
    await next()
    state.isAlive = true
    await next()
    const silence = expect.stringMatching(
      /^The listener does not answer: if it does not recover soon, systemd kills and restarts Burrow/,
    )
    expect(events).toEqual(['told', silence, silence, 'told'])
  })

  test('startWatchdog goes on telling while Burrow stops, whose listener is closed on purpose', async () => {
    const { watchdog, events, state, next } = start()
    await new Promise(setImmediate)
    state.isAlive = false
    watchdog.stopAsking()
    await next()
    expect(events).toEqual(['told', 'told'])
    watchdog.stop()
    expect(events).toEqual(['told', 'told', 'cancelled'])
  })
})
