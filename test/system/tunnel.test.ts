/**
 * End to end: a stock Nix, through an edge and a connector, from a real Burrow; and what becomes of it when a part of
 * the way breaks.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import type { StatusReport } from '../../appliance/operator/status.ts'
import { benAuthorization, get } from '../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { openTunnelled, type Tunnelled } from '../fixtures/tunnelled.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let big: string
let netrc: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  big = await store.addFile('big', randomBytes(20_000_000))
  netrc = await nix.writeNetrc([{ machine: '127.0.0.1', login: 'ben', password: 'secret' }])
})

afterAll(() => nix[Symbol.asyncDispose]())

const connected = /^The tunnel is connected/
const portOf = (url: string) => Number(new URL(url).port)
const askAs = (world: Tunnelled, path: string, authorization: string | undefined) =>
  get(portOf(world.edge.url), path, { headers: { authorization } })
const ask = (world: Tunnelled, path: string) => askAs(world, path, benAuthorization)

async function statusOf(world: Tunnelled): Promise<StatusReport> {
  return JSON.parse((await world.run('status', '--json')).stdout) as StatusReport
}

async function publicKeyOf(world: Tunnelled): Promise<string> {
  return (await ask(world, '/v1/public-key')).body.toString().trim()
}

async function copy(world: Tunnelled, paths: readonly string[]): Promise<ScratchStore> {
  const to = await nix.openStore()
  await nix.copy({ from: world.edge.url, to, paths, netrc, trustedPublicKeys: [await publicKeyOf(world)] })
  for (const path of paths) expect((await to.dump(path)).equals(await store.dump(path))).toBe(true)
  return to
}

describe('a stock Nix through the tunnel', () => {
  test.each([
    ['a credentials tunnel', { mode: 'credentials' }],
    ['a credentials tunnel to a unix socket', { mode: 'credentials', isUnix: true }],
    ['a token tunnel whose ingress the connector knows', { mode: 'token' }],
  ] as const)('copies a closure over %s, and leaves nothing at the edge', async (_what, options) => {
    await using world = await openTunnelled(store, options)
    await world.burrow.logged(connected)
    const to = await copy(world, [closure.app])
    expect(await to.closureOf(closure.app)).toEqual(closure.appClosure)

    const nar = world.edge.exchanges.find(({ path, method }) => method === 'GET' && path.startsWith('/nar/'))!
    for (const path of [nar.path, `/${closure.app.slice(11, 43)}.narinfo`, '/nix-cache-info']) {
      const answer = await askAs(world, path, undefined)
      expect([answer.status, answer.headers['www-authenticate']]).toEqual([
        401,
        expect.stringContaining('realm="burrow"'),
      ])
    }
    expect(new Set(world.edge.exchanges.map(({ fromCache }) => fromCache))).toEqual(new Set([false]))
    expect(world.edge.exchanges.filter(({ cacheStatus }) => cacheStatus === 'HIT')).toEqual([])
  })

  test('copies a closure over a quick tunnel, whose address is printed with the client set-up', async () => {
    await using world = await openTunnelled(store, { mode: 'quick' })
    await world.burrow.logged(connected)
    const setup = await world.burrow.printed(/^extra-substituters = https:\/\/\S+\.trycloudflare\.com$/m)
    expect(setup).toMatch(/^extra-trusted-public-keys = \S+:\S{44}$/m)
    expect(setup).toContain('200 concurrent requests')
    await copy(world, [closure.app])
  })

  test('a token tunnel takes its ingress from the edge, and its host name from there', async () => {
    await using world = await openTunnelled(store, {
      mode: 'token',
      edge: { isRemotelyManaged: true },
      tunnel: { hostname: undefined },
    })
    await world.edge.connected(1)
    await world.edge.pushConfig({
      ingress: [{ hostname: 'cache.example.org', service: world.burrow.url }, { service: 'http_status:404' }],
    })
    expect(await world.burrow.printed(/^extra-substituters = https:\/\/cache\.example\.org$/m)).toBeTruthy()
    await copy(world, [closure.app])
  })

  test('the access log tells who fetched what, with the ray and the address the edge named', async () => {
    await using world = await openTunnelled(store, { mode: 'credentials' })
    await world.burrow.logged(connected)
    world.edge.eyeballAddress = '203.0.113.9'
    const { headers } = await ask(world, '/nix-cache-info')
    const record = await world.burrow.logged(/^Answered$/)
    expect(record).toMatchObject({
      ray: headers['cf-ray'],
      address: '203.0.113.9',
      user: 'ben',
      method: 'GET',
      target: '/nix-cache-info',
      status: 200,
      isComplete: true,
    })
  })
})

describe('what breaks on the way', () => {
  test('a download goes on when the edge drops its connections, again and again', async () => {
    await using world = await openTunnelled(store, { mode: 'credentials' })
    await world.burrow.logged(connected)
    // Nix gives up on a 530, which it gets while no connection is there at all: of four, three drops leave one.
    await world.edge.connected(4)
    world.edge.dropAfterBytes(6_000_000, 3)
    await copy(world, [big])
    const parts = world.edge.exchanges.filter(({ path }) => path.startsWith('/nar/'))
    expect(parts.map(({ status }) => status)).toEqual([200, 206, 206, 206])
    expect(parts.map(({ isComplete }) => isComplete)).toEqual([false, false, false, true])
  })

  test('a download goes on when Burrow is killed and comes back, and its connector dies with it', async () => {
    await using world = await openTunnelled(store, { mode: 'credentials' })
    await world.burrow.logged(connected)
    const { pid } = (await statusOf(world)).tunnel
    const key = await publicKeyOf(world)
    const response = await open(world, await narUrlOf(world, big))
    response.on('error', () => {})
    const received: Buffer[] = []
    for await (const chunk of response) {
      received.push(chunk as Buffer)
      if (Buffer.concat(received).length > 5_000_000) break
    }
    world.burrow.kill('SIGKILL')
    await world.burrow.exited
    await world.edge.lost(1)
    expect(await ask(world, '/nix-cache-info')).toMatchObject({ status: 530 })
    expect(isAlive(pid!)).toBe(false)

    await world.restart()
    await world.burrow.logged(connected)
    const start = Buffer.concat(received).length
    const rest = await get(portOf(world.edge.url), response.req.path, { headers: { range: `bytes=${start}-` } })
    expect([rest.status, rest.isComplete]).toEqual([206, true])
    const to = await nix.openStore()
    await nix.copy({ from: world.edge.url, to, paths: [big], netrc, trustedPublicKeys: [key] })
    expect((await to.dump(big)).equals(await store.dump(big))).toBe(true)
  })

  test('a stop lets a download through the tunnel finish, unregisters, and leaves no process', async () => {
    await using world = await openTunnelled(store, { mode: 'credentials' })
    await world.burrow.logged(connected)
    const { pid } = (await statusOf(world)).tunnel
    const response = await open(world, await narUrlOf(world, big))
    world.burrow.kill('SIGTERM')
    await world.burrow.logged(/^Stopping/)
    let bytes = 0
    for await (const chunk of response) bytes += (chunk as Buffer).length
    expect(response.complete).toBe(true)
    expect(bytes).toBeGreaterThan(20_000_000 * 0.99)
    expect(await world.burrow.exited).toEqual({ code: 0, signal: null })
    expect(world.edge.connections).toEqual([])
    expect(isAlive(pid!)).toBe(false)
  })

  test('the origin answers until the connector has ended: requests that are still on their way to it find it', async () => {
    await using world = await openTunnelled(store, { mode: 'credentials', tunnel: { gracePeriod: '60s' } })
    await world.burrow.logged(connected)
    // One that is due after the signal registers and unregisters all the same, and would be kept after the others are
    // dropped.
    await world.edge.connected(4)
    world.edge.keepConnectionsOnUnregister = true
    world.burrow.kill('SIGTERM')
    await world.burrow.logged(/^Unregistered tunnel connection/)
    expect((await get(portOf(world.burrow.url), '/nix-cache-info')).status).toBe(200)
    world.edge.dropConnections()
    expect(await world.burrow.exited).toEqual({ code: 0, signal: null })
    const order = world.burrow.records.map(({ msg }) => msg)
    expect(order.indexOf('The tunnel is off: the tunnel was stopped')).toBeGreaterThan(
      order.findIndex((msg) => /^Unregistered/.test(msg)),
    )
  })

  test('a killed connector is started again', async () => {
    await using world = await openTunnelled(store, { mode: 'credentials' })
    await world.burrow.logged(connected)
    process.kill((await statusOf(world)).tunnel.pid!, 'SIGKILL')
    await world.burrow.logged(/^The tunnel is backing-off/)
    await world.edge.attempted(world.edge.registrations.length + 1)
    await world.burrow.printed(/trusted/)
    await until(async () => (await statusOf(world)).tunnel.state === 'connected')
    expect((await statusOf(world)).tunnel.restarts).toBe(1)
    expect((await ask(world, '/nix-cache-info')).status).toBe(200)
  })

  test('a refused token is told loudly, not tried in a loop, and taken at once after it was mended', async () => {
    await using world = await openTunnelled(store, { mode: 'token', edge: {}, tunnel: {} })
    await world.burrow.logged(connected)
    world.edge.rotateSecret()
    await world.restart()
    const failed = await world.burrow.logged(/^The tunnel is failed/)
    expect(failed.level).toBe('error')
    expect(failed.msg).toMatch(/Unauthorized: Invalid tunnel secret/)
    const status = await world.run('status')
    expect(status.stdout).toMatch(/failed/)
    expect(JSON.stringify(world.burrow.records)).not.toContain(await readFile(world.dir.file('token'), 'utf8'))

    await writeFile(world.dir.file('token'), world.edge.token(), { mode: 0o600 })
    world.burrow.kill('SIGHUP')
    await world.burrow.logged(connected)
    expect((await ask(world, '/nix-cache-info')).status).toBe(200)
  })

  test('while the edge is out of reach, the cache serves on this machine', async () => {
    await using world = await openTunnelled(store, { mode: 'credentials' })
    await world.burrow.logged(connected)
    world.edge.refuseConnections()
    world.edge.dropConnections()
    await world.burrow.logged(/^The tunnel is reconnecting/)
    expect((await get(portOf(world.burrow.url), '/nix-cache-info')).status).toBe(200)
    await world.edge.acceptConnections()
    await until(async () => (await statusOf(world)).tunnel.state === 'connected')
  })
})

describe('the operator', () => {
  test('doctor finds nothing wrong, and then what is made wrong', async () => {
    await using world = await openTunnelled(store, { mode: 'credentials' })
    await world.burrow.logged(connected)
    const doctor = () => world.run('doctor', '--url', world.edge.url)
    const well = await doctor()
    expect([well.code, well.stdout.match(/^FAIL.*$/gm)]).toEqual([0, null])

    world.edge.challenge(true)
    expect(await doctor()).toMatchObject({ code: 1, stdout: expect.stringMatching(/^FAIL .*challenge/m) })
    world.edge.challenge(false)
    world.edge.cacheRule = { eligible: 'everything', edgeTtlSeconds: 600 }
    expect(await doctor()).toMatchObject({ code: 1, stdout: expect.stringMatching(/^FAIL .*cache/m) })
    world.edge.cacheRule = { eligible: 'by-extension' }
    world.edge.purgeCache()
    world.burrow.kill('SIGTERM')
    await world.burrow.exited
    const stopped = await doctor()
    expect(stopped.code).toBe(1)
    expect(stopped.stdout).toMatch(/^FAIL .*(?:1033|530)/m)
  })

  test('status names tunnel, public address and connections; readyz does not wait for the tunnel', async () => {
    await using world = await openTunnelled(store, { mode: 'credentials' })
    await world.burrow.logged(connected)
    const report = await statusOf(world)
    expect(report).toMatchObject({
      publicUrl: 'https://cache.example.org',
      tunnel: { state: 'connected', mode: 'credentials', hostname: 'cache.example.org' },
    })
    const { stdout } = await world.run('status')
    expect(stdout).toMatch(/connected/)
    expect(stdout).toMatch(/https:\/\/cache\.example\.org/)
  })
})

/** One that has ended and that nobody has asked for its exit code does not live. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

async function narUrlOf(world: Tunnelled, path: string): Promise<string> {
  const narInfo = await ask(world, `/${path.slice(11, 43)}.narinfo`)
  return `/${/^URL: (.+)$/m.exec(narInfo.body.toString())![1]}`
}

async function open(world: Tunnelled, path: string): Promise<IncomingMessage & { req: { path: string } }> {
  const sent = request({
    host: '127.0.0.1',
    port: portOf(world.edge.url),
    path,
    agent: false,
    headers: { authorization: benAuthorization },
  }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage & { req: { path: string } }]
  return response
}

/** For what announces itself only to who asks. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 100))
}
