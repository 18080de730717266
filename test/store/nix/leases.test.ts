/** Leases against a real daemon and real garbage collections, and against daemons that do not answer. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { silentLog } from '../../../src/log.ts'
import { DaemonLeases } from '../../../src/store/nix/leases.ts'
import { readTempRoot, rooted, startScriptedDaemon } from '../../daemon/scripted-daemon.ts'
import { type NixDaemon, type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { ManualClock } from '../../manual-clock.ts'
import { recordLog } from '../recorded-log.ts'

const narInfoSeconds = 600
const leaseMs = narInfoSeconds * 1000

function openLeases(socketPath: string | undefined, { maxPaths = 1000, log = silentLog } = {}) {
  const clock = new ManualClock()
  const leases = new DaemonLeases({ socketPath, narInfoSeconds, maxPaths, log, clock, random: () => 0 })
  return { clock, leases, [Symbol.dispose]: () => leases[Symbol.dispose]() }
}

/** Roots whatever it is told. */
function startWillingDaemon() {
  return startScriptedDaemon(async ({ greet, reader, socket }) => {
    await greet(34)
    for (;;) {
      await readTempRoot(reader)
      socket.write(rooted)
    }
  })
}

/** Gives up by itself: a loop that jest cannot end would outlive it. */
async function until(isReached: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!isReached()) {
    if (Date.now() > deadline) throw new Error('waited in vain')
    await new Promise(setImmediate)
  }
}

const pathOf = (letter: string) => `/nix/store/${letter.repeat(32)}-path`

describe('with a real daemon and garbage collector', () => {
  let nix: NixFixture
  let store: ScratchStore
  let daemon: NixDaemon

  beforeAll(async () => {
    nix = await openNixFixture()
    store = await nix.openStore()
    daemon = await store.startDaemon()
  })
  afterAll(() => nix[Symbol.asyncDispose]())

  test('take keeps a path from being collected until the lease has run out', async () => {
    const path = await store.addFile('leased', 'x')
    const other = await store.addFile('not-leased', 'x')
    using opened = openLeases(daemon.socket)
    const { leases, clock } = opened
    expect(leases.covers(path)).toBe(false)
    await leases.take(path)
    expect(leases.covers(path)).toBe(true)
    await store.collectGarbage()
    expect([await store.isValid(path), await store.isValid(other)]).toEqual([true, false])
    clock.advance(leaseMs)
    expect(leases.health()).toMatchObject({ connections: 0, roots: 0 })
    await store.collectGarbage()
    expect(await store.isValid(path)).toBe(false)
  })

  test('take protects what the path refers to as well', async () => {
    const { app, lib, base, text } = await store.buildClosure()
    using opened = openLeases(daemon.socket)
    await opened.leases.take(app)
    await store.collectGarbage()
    expect(await Promise.all([app, lib, base, text].map((path) => store.isValid(path)))).toEqual([
      true,
      true,
      true,
      true,
    ])
  })

  test('hold keeps a path through rotations until it is released', async () => {
    const path = await store.addFile('held', 'x')
    using opened = openLeases(daemon.socket)
    const { leases, clock } = opened
    const release = await leases.hold(path)
    for (let rotation = 0; rotation < 3; rotation++) {
      clock.advance(leaseMs)
      await leases.take(pathOf('a'))
      await store.collectGarbage()
      expect(await store.isValid(path)).toBe(true)
    }
    expect(leases.health().held).toBe(1)
    clock.advance(leaseMs)
    release()
    release()
    expect(leases.health()).toMatchObject({ held: 0, connections: 0 })
    await store.collectGarbage()
    expect(await store.isValid(path)).toBe(false)
  })

  test('hold lasts as long as any of several transfers of the path', async () => {
    const path = await store.addFile('held-twice', 'x')
    using opened = openLeases(daemon.socket)
    const { leases, clock } = opened
    const [first, second] = await Promise.all([leases.hold(path), leases.hold(path)])
    clock.advance(10 * leaseMs)
    first()
    await store.collectGarbage()
    expect(await store.isValid(path)).toBe(true)
    second()
    await store.collectGarbage()
    expect(await store.isValid(path)).toBe(false)
  })

  test('a daemon that was ended and started again protects anew, held paths too', async () => {
    const held = await store.addFile('held-over', 'x')
    const taken = await store.addFile('taken-over', 'x')
    const log = recordLog()
    using opened = openLeases(daemon.socket, { log })
    const { leases, clock } = opened
    const release = await leases.hold(held)
    await leases.take(taken)
    await daemon[Symbol.asyncDispose]()
    await until(() => leases.health().connections === 0)
    expect(leases.covers(taken)).toBe(false)
    await leases.take(taken)
    expect(leases.covers(taken)).toBe(true)
    expect(leases.health()).toMatchObject({ active: false, connections: 0 })
    expect(log.loud()).toEqual([expect.stringMatching(/^warn Cannot connect to nix-daemon/)])
    daemon = await store.startDaemon()
    // Nobody asks for the held path: it is rooted again all the same.
    clock.advance(60_000)
    await new Promise(setImmediate)
    clock.advance(1000)
    await until(() => leases.health().roots > 0)
    await leases.take(taken)
    expect(leases.health()).toMatchObject({ active: true, connections: 1, roots: 2, held: 1 })
    await store.collectGarbage()
    expect([await store.isValid(held), await store.isValid(taken)]).toEqual([true, true])
    expect(log.loud().at(-1)).toMatch(/^info The nix-daemon answers again/)
    release()
    expect(leases.health().held).toBe(0)
  })
})

describe('a daemon of the test', () => {
  test('covers is true and take does nothing where leases cannot be had', async () => {
    using opened = openLeases(undefined)
    const { leases } = opened
    expect(leases.covers(pathOf('a'))).toBe(true)
    await leases.take(pathOf('a'))
    const release = await leases.hold(pathOf('a'))
    release()
    expect(leases.health()).toEqual({ active: false, connections: 0, roots: 0, held: 0 })
  })

  test('an absent daemon is tried again only after a growing while', async () => {
    const log = recordLog()
    using opened = openLeases('/nonexistent/socket', { log })
    const { leases, clock } = opened
    const attempts = () => log.lines.filter((line) => line.includes('Cannot connect')).length
    await leases.take(pathOf('a'))
    for (const [afterMs, expected] of [
      [499, 1],
      [1, 2],
      [999, 2],
      [1, 3],
    ] as const) {
      clock.advance(afterMs)
      expect(leases.covers(pathOf('a'))).toBe(expected === attempts())
      await leases.take(pathOf('a'))
      expect(attempts()).toBe(expected)
    }
    expect(log.loud()).toHaveLength(1)
  })

  test('covers asks for renewal from half the lease time on, and renewal costs no request', async () => {
    let roots = 0
    await using daemon = await startScriptedDaemon(async ({ greet, reader, socket }) => {
      await greet(34)
      for (;;) {
        await readTempRoot(reader)
        roots++
        socket.write(rooted)
      }
    })
    using opened = openLeases(daemon.socketPath)
    const { leases, clock } = opened
    await Promise.all([leases.take(pathOf('a')), leases.take(pathOf('a'))])
    clock.advance(leaseMs / 2)
    expect(leases.covers(pathOf('a'))).toBe(true)
    clock.advance(1)
    expect(leases.covers(pathOf('a'))).toBe(false)
    await leases.take(pathOf('a'))
    expect(leases.covers(pathOf('a'))).toBe(true)
    expect(roots).toBe(1)
  })

  test('after a lease time a new connection takes over and the old one closes with its last lease', async () => {
    await using daemon = await startWillingDaemon()
    using opened = openLeases(daemon.socketPath)
    const { leases, clock } = opened
    await leases.take(pathOf('a'))
    clock.advance(leaseMs - 1)
    await leases.take(pathOf('a'))
    clock.advance(1)
    await leases.take(pathOf('b'))
    expect(leases.health()).toMatchObject({ connections: 2, roots: 2 })
    clock.advance(leaseMs - 2)
    expect(leases.health()).toMatchObject({ connections: 2 })
    clock.advance(1)
    expect(leases.health()).toMatchObject({ connections: 1, roots: 1 })
    clock.advance(1)
    expect(leases.health()).toMatchObject({ connections: 0, roots: 0 })
    expect(clock.pending).toBe(0)
  })

  test('no more than maxPaths roots are held; further paths are served without', async () => {
    await using daemon = await startWillingDaemon()
    using opened = openLeases(daemon.socketPath, { maxPaths: 10 })
    const { leases, clock } = opened
    const paths = [...'abcdfghijklmnp'].map(pathOf)
    for (const path of paths) await leases.take(path)
    expect(leases.health().roots).toBe(10)
    expect(leases.covers(paths.at(-1)!)).toBe(true)
    clock.advance(leaseMs)
    expect(leases.covers(paths.at(-1)!)).toBe(false)
    await leases.take(paths.at(-1)!)
    expect(leases.health().roots).toBe(1)
  })

  test('a path being deleted holds up its own request for two seconds and no other path', async () => {
    const asked = Promise.withResolvers<void>()
    await using daemon = await startScriptedDaemon(async ({ greet, reader, socket }) => {
      await greet(34)
      for (;;) {
        if ((await readTempRoot(reader)) === pathOf('a')) {
          asked.resolve()
          return
        }
        socket.write(rooted)
      }
    })
    using opened = openLeases(daemon.socketPath)
    const { leases, clock } = opened
    const stuck = leases.take(pathOf('a'))
    await asked.promise
    clock.advance(2000)
    await stuck
    expect(leases.covers(pathOf('a'))).toBe(false)
    await leases.take(pathOf('b'))
    expect(leases.covers(pathOf('b'))).toBe(true)
    expect(daemon.connections).toBe(2)
  })

  test('a daemon that accepts and says nothing delays a request by two seconds once, not each', async () => {
    const connected = Promise.withResolvers<void>()
    await using daemon = await startScriptedDaemon(async () => connected.resolve())
    using opened = openLeases(daemon.socketPath)
    const { leases, clock } = opened
    const taken = leases.take(pathOf('a'))
    await connected.promise
    clock.advance(2000)
    await taken
    // The connection attempt fails in the same moment; its end is a matter of microtasks.
    await until(() => !leases.health().active)
    expect(leases.covers(pathOf('b'))).toBe(true)
    await leases.take(pathOf('b'))
    expect(daemon.connections).toBe(1)
  })

  test('garbage from the daemon costs the connection and nothing else', async () => {
    await using daemon = await startScriptedDaemon(async ({ greet, reader, socket }) => {
      await greet(34)
      await readTempRoot(reader)
      socket.write(Buffer.alloc(100, 0x5a))
    })
    using opened = openLeases(daemon.socketPath)
    const { leases } = opened
    await leases.take(pathOf('a'))
    expect(leases.health()).toMatchObject({ connections: 0, roots: 0 })
    expect(leases.covers(pathOf('a'))).toBe(false)
  })
})
