/** A connector that ends: what is said about it, and when the next one starts. */
import { chmod, writeFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'

import { LaunchFault } from '../../../appliance/tunnel/launch/launch.ts'
import type { TunnelStatus } from '../../../appliance/tunnel/tunnel.ts'
import { createScratchDir } from '../scratch-dir.ts'
import { connectorFile } from './scripted-launch.ts'
import { type ScriptedTunnel, startScripted } from './scripted-tunnel.ts'

const waitOf = ({ clock }: ScriptedTunnel, { nextAttempt }: TunnelStatus) => nextAttempt!.getTime() - clock.now()

/** Waiting after its n-th start. */
const untilWaiting = ({ until, prepared, tunnel, clock }: ScriptedTunnel, starts: number) =>
  until(() => prepared() === starts && (tunnel.status.nextAttempt?.getTime() ?? 0) > clock.now())

test.each([
  ['exits-at-once', {}, 'backing-off', 750, /addresses cannot be looked up: Could not lookup srv records/],
  ['exits-silently', {}, 'backing-off', 750, /without an error message/],
  ['exits-with-usage', {}, 'failed', 225_000, /does not know the flag -no-such-flag/],
  ['refuses-the-token', {}, 'failed', 225_000, /token is invalid: Provided Tunnel token is not valid/],
  ['port-taken', {}, 'backing-off', 750, /cannot open its metrics listener/],
  ['updates-itself', {}, 'backing-off', 750, /updated its own executable/],
  [
    'gets-no-quick-tunnel',
    { mode: 'quick' },
    'backing-off',
    22_500,
    /does not provide a quick tunnel: .*429 Too Many Requests/,
  ],
] as const)('%s', async (behaviour, settings, state, waitMs, reason) => {
  await using scripted = await startScripted(behaviour, { settings })
  const status = await scripted.untilState(state)
  expect(status.reason).toMatch(reason)
  expect(waitOf(scripted, status)).toBe(waitMs)
  expect(status).toMatchObject({ pid: undefined, metricsUrl: undefined, connections: 0 })
  expect(scripted.forgotten()).toBeGreaterThan(0)
})

test('a connector that ends at once is started again after ever longer waits, never in a hot loop', async () => {
  await using scripted = await startScripted('exits-silently')
  const waits: number[] = []
  for (let start = 1; start <= 8; start++) {
    await untilWaiting(scripted, start)
    const waitMs = waitOf(scripted, scripted.tunnel.status)
    waits.push(waitMs)
    scripted.clock.advance(waitMs - 1)
    expect(scripted.prepared()).toBe(start)
    scripted.clock.advance(1)
  }
  expect(waits).toEqual([750, 1500, 3000, 6000, 12_000, 24_000, 45_000, 45_000])
})

test('waits begin anew after a stable minute, and not before', async () => {
  await using scripted = await startScripted('connects')
  const { tunnel, clock, script } = scripted
  const die = async (): Promise<number> => {
    await script({ exit: 1 })
    return waitOf(scripted, await scripted.untilState('backing-off'))
  }
  await scripted.untilState('connected')
  expect(await die()).toBe(750)
  clock.advance(750)
  await scripted.untilState('connected')
  expect(await die()).toBe(1500)
  clock.advance(1500)
  const { since } = await scripted.untilState('connected')
  await scripted.pollUntil(() => clock.now() - since.getTime() > 60_000)
  expect(tunnel.status).toMatchObject({ state: 'connected', restarts: 2 })
  expect(await die()).toBe(750)
})

test('a connector killed by a signal is told as killed, and started again', async () => {
  await using scripted = await startScripted('connects')
  await scripted.untilState('connected')
  process.kill(scripted.tunnel.status.pid!, 'SIGKILL')
  const { reason, remedy } = await scripted.untilState('backing-off')
  expect(reason).toMatch(/was killed \(SIGKILL\)/)
  expect(remedy).toMatch(/Out of memory/)
  scripted.clock.advance(1_000)
  expect(await scripted.untilState('connected')).toMatchObject({ restarts: 1, connections: expect.any(Number) })
})

test('retry ends the wait and forgets how often it failed', async () => {
  await using scripted = await startScripted('exits-silently')
  await scripted.untilState('backing-off')
  scripted.tunnel.retry()
  await untilWaiting(scripted, 2)
  expect(waitOf(scripted, scripted.tunnel.status)).toBe(750)
})

test('a missing binary is looked for again, told once, and used as soon as it is there', async () => {
  let found: { path: string; version: undefined } | undefined
  let looks = 0
  const findBinary = async () => {
    looks += 1
    return found
  }
  await using scripted = await startScripted('connects', { parts: { findBinary } })
  const { remedy } = await scripted.untilState('missing-binary')
  expect(remedy).toContain('burrow tunnel install')
  for (const times of [2, 3]) {
    scripted.clock.advance(30_000)
    await scripted.until(() => looks === times && scripted.tunnel.status.nextAttempt!.getTime() > scripted.clock.now())
  }
  expect(scripted.entries.filter(({ message }) => message.includes('missing-binary'))).toHaveLength(1)
  found = { path: connectorFile('connects'), version: undefined }
  scripted.clock.advance(30_000)
  await scripted.untilState('connected')
})

test('an optional tunnel without a binary is off, and looks no further until asked', async () => {
  await using scripted = await startScripted('connects', {
    settings: { isOptional: true },
    parts: { findBinary: async () => undefined },
  })
  expect((await scripted.untilState('off')).nextAttempt).toBeUndefined()
  expect(scripted.clock.pending).toBe(0)
})

test('a binary that cannot be executed is told without being tried', async () => {
  await using dir = await createScratchDir()
  const path = dir.file('cloudflared')
  const parts = { findBinary: async () => ({ path, version: undefined }) }
  await using scripted = await startScripted('', { parts })
  expect((await scripted.untilState('missing-binary')).reason).toBe(`there is no "${path}"`)
  await writeFile(path, 'not a program\n', { mode: 0o600 })
  scripted.tunnel.retry()
  expect((await scripted.untilState('failed')).reason).toMatch(/may not execute/)
  await chmod(path, 0o755)
  scripted.tunnel.retry()
  await scripted.until(() => /not an executable for this machine/.test(scripted.tunnel.status.reason))
  expect(scripted.tunnel.status).toMatchObject({ state: 'failed', restarts: 0 })
})

test('a script whose interpreter is absent is told, with setpriv and without', async () => {
  await using dir = await createScratchDir()
  const path = dir.file('cloudflared')
  await writeFile(path, '#!/nowhere/interpreter\n', { mode: 0o755 })
  for (const searchPath of ['', '/usr/bin:/bin']) {
    await using scripted = await startScripted('', {
      parts: { findBinary: async () => ({ path, version: undefined }), searchPath },
    })
    await scripted.until(() => scripted.tunnel.status.nextAttempt !== undefined)
    expect(scripted.tunnel.status.reason).toMatch(/cannot be (?:executed|started)/)
  }
})

test('a launch that cannot be prepared fails with its own words, and is looked at again soon: nobody but this machine is asked', async () => {
  const prepareLaunch = async () => {
    throw new LaunchFault('the credentials file is not JSON', 'make it anew')
  }
  await using scripted = await startScripted('connects', { parts: { prepareLaunch } })
  const status = await scripted.untilState('failed')
  expect(status).toMatchObject({ reason: 'the credentials file is not JSON', remedy: 'make it anew' })
  expect(waitOf(scripted, status)).toBe(750)
})

test('a launch that fails again is told once, and once more when it fails otherwise', async () => {
  let fault = new LaunchFault('the disk is full', 'make room')
  const prepareLaunch = async () => {
    throw fault
  }
  await using scripted = await startScripted('connects', { parts: { prepareLaunch } })
  const told = () => scripted.entries.filter(({ level }) => level === 'error').map(({ message }) => message)
  const attemptAgain = async () => {
    const { nextAttempt } = await scripted.untilState('failed')
    scripted.clock.advance(nextAttempt!.getTime() - scripted.clock.now())
    await scripted.until(() => (scripted.tunnel.status.nextAttempt?.getTime() ?? 0) > nextAttempt!.getTime())
  }
  await attemptAgain()
  await attemptAgain()
  expect(told()).toEqual(['The tunnel is failed: the disk is full. What to do: make room'])
  fault = new LaunchFault('the file is gone', 'bring it back')
  await attemptAgain()
  expect(told().slice(1)).toEqual(['The tunnel is failed: the file is gone. What to do: bring it back'])
  await scripted.tunnel.stop()
  expect(told()).toHaveLength(2)
})

test('a fault of the unexpected kind is logged and tried again', async () => {
  const prepareLaunch = async () => {
    throw new TypeError('x is undefined')
  }
  await using scripted = await startScripted('connects', { parts: { prepareLaunch } })
  expect((await scripted.untilState('backing-off')).reason).toBe('cloudflared cannot be started: x is undefined')
  expect(scripted.entries.some(({ level, fields }) => level === 'error' && fields.err instanceof TypeError)).toBe(true)
})
