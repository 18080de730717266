/**
 * `burrow push`: whole closures, broken lines, a client or a server that is killed in the middle, thousands of small
 * paths.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { FarEnd, generateSecretKey, openLocalStore, type PushEvent, pushPaths, silentLog } from '../../../src/index.ts'
import { runBurrow, serveBurrow } from '../../appliance/burrow.ts'
import { createScratchDir } from '../../appliance/scratch-dir.ts'
import { basic } from '../../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { as, openPushCache, type PushCache } from '../../fixtures/push-cache.ts'
import { openUploadProxy } from '../../fixtures/upload-proxy.ts'

const main = fileURLToPath(new URL('../../../appliance/program.ts', import.meta.url))
const key = generateSecretKey('cache-1')
const bigBytes = 60_000_000

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let big: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  // Noise does not compress: what goes over the line is what the NAR has.
  big = await store.addFile('big', randomBytes(bigBytes))
})

afterAll(() => nix[Symbol.asyncDispose]())

interface PushOverrides {
  readonly jobs?: number
  readonly isDryRun?: boolean
  readonly patienceMs?: number
  readonly user?: string
  readonly pin?: { readonly name: string; readonly keepLast?: number }
}

async function push(
  url: string,
  paths: readonly string[],
  from: ScratchStore = store,
  { user = 'ci', jobs = 4, isDryRun = false, patienceMs = 60_000, pin }: PushOverrides = {},
) {
  const leases = { narInfoSeconds: 0, maxPaths: 10_000 }
  await using local = await openLocalStore({ ...from, daemonSocket: undefined, leases, log: silentLog })
  using farEnd = new FarEnd({
    url: new URL(url),
    authorization: basic(user, 'secret'),
    version: '0',
    patienceMs,
    connections: jobs + 2,
    now: () => performance.now(),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms / 20)),
    random: Math.random,
  })
  const events: PushEvent[] = []
  const result = await pushPaths(paths, {
    store: local,
    farEnd,
    jobs,
    level: 3,
    withReferences: true,
    isExcluded: (path) => path.endsWith('.drv'),
    includeUpstream: false,
    isDryRun,
    pin,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms / 10)),
    report: (event) => void events.push(event),
  })
  return { ...result, events }
}

async function expectPulled(cache: PushCache, paths: readonly string[], from: ScratchStore = store): Promise<void> {
  const to = await nix.openStore()
  const { args, env } = await as(nix, 'ben')
  await nix.run(
    'nix',
    ['copy', '--from', cache.url, '--to', to.root, '--option', 'trusted-public-keys', key.publicKey, ...args, ...paths],
    { env },
  )
  for (const path of paths) expect((await to.dump(path)).equals(await from.dump(path))).toBe(true)
}

describe('a push', () => {
  test('brings the closure, which real Nix copies with signatures required; a second one sends nothing', async () => {
    await using cache = await openPushCache(nix, { signing: [key] })
    const { paths, narBytes } = await push(cache.url, [closure.app, big])
    expect([...paths.values()].every(({ status }) => status === 'pushed')).toBe(true)
    expect(paths.size).toBe(closure.appClosure.length + 1)
    expect(narBytes).toBeGreaterThan(bigBytes)
    await expectPulled(cache, [closure.app, big])
    const again = await push(cache.url, [closure.app, big])
    expect([again.narBytes, [...again.paths.values()].every(({ status }) => status === 'present')]).toEqual([0, true])
  })

  test('that is a dry run sends nothing and says what it would', async () => {
    await using cache = await openPushCache(nix)
    const { paths, narBytes } = await push(cache.url, [closure.app], store, { isDryRun: true })
    expect([narBytes, new Set([...paths.values()].map(({ status }) => status))]).toEqual([0, new Set(['would-push'])])
    expect(cache.depot.figures().objects).toBe(0)
  })

  test('with a pin keeps what it brought under that name, in the same transaction', async () => {
    await using cache = await openPushCache(nix)
    await push(cache.url, [closure.app], store, { pin: { name: 'ci/app', keepLast: 2 } })
    expect(cache.depot.pins()).toMatchObject([
      { name: 'ci/app', keepLast: 2, revisions: [{ user: 'ci', storePaths: [closure.app] }] },
    ])
    await expect(push(cache.url, [closure.text], store, { pin: { name: 'ben/app' } })).rejects.toMatchObject({
      code: 'forbidden',
    })
  })

  test('of a path that was built otherwise leaves the first in its place and says so', async () => {
    const random = `{ random = derivation { name = "random"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "od -An -N8 -tx1 /dev/urandom > $out" ]; PATH = "/bin:/usr/bin"; }; }`
    const other = await nix.openStore()
    const [path] = await store.build(random, 'random')
    await other.build(random, 'random')
    await using cache = await openPushCache(nix, { signing: [key] })
    await push(cache.url, [path!])
    const second = await push(cache.url, [path!], other)
    expect(second.paths.get(path!)).toMatchObject({
      status: 'conflict',
      reason: expect.stringMatching(/^already stored by ci since .*, with NAR hash sha256:/),
    })
    await expectPulled(cache, [path!])
  })

  test.each([
    ['a wrong password', 'eve', 'unauthorized'],
    ['no right to push', 'ben', 'forbidden'],
  ] as const)('with %s ends at once', async (_what, user, code) => {
    await using cache = await openPushCache(nix)
    await expect(push(cache.url, [closure.app], store, { user })).rejects.toMatchObject({ code })
  })

  test('of a path that rotted here sends no last part of it', async () => {
    const rotten = await store.addFile('rotten', randomBytes(20_000_000))
    const { open, chmod } = await import('node:fs/promises')
    await chmod(store.realPathOf(rotten), 0o644)
    {
      await using file = await open(store.realPathOf(rotten), 'r+')
      await file.write(Buffer.from('!!!!'), 0, 4, 100)
    }
    await using cache = await openPushCache(nix)
    await expect(push(cache.url, [rotten])).rejects.toMatchObject({
      code: 'unreadable',
      message: expect.stringContaining('nix-store --verify-path'),
    })
    expect(cache.depot.figures().objects).toBe(0)
    await store.deletePath(rotten)
  })
})

describe('a bad line', () => {
  test('that is cut again and again costs little more than the bytes', async () => {
    await using cache = await openPushCache(nix, { signing: [key] })
    await using proxy = await openUploadProxy(cache.cache.port, 25_000_000)
    await push(proxy.url, [big], store, { jobs: 2 })
    expect(proxy.cuts).toBeGreaterThan(0)
    // A part of 8 MiB for each cut at the most.
    expect(proxy.bytes).toBeLessThan(bigBytes * 1.02 + proxy.cuts * 2 * 8.5e6)
    await expectPulled(cache, [big])
  })

  test('whose commit was done, but its answer lost, says that it pushed', async () => {
    await using cache = await openPushCache(nix)
    let lost = 0
    const server = createServer((request, response) => {
      const { method, url, headers } = request
      const forwarded = forward({ port: cache.cache.port, method, path: url, headers }, (reply) => {
        if (url !== '/v1/push/commit' || lost++ > 0)
          return reply.pipe(response.writeHead(reply.statusCode!, reply.headers))
        return reply.resume().once('end', () => request.socket.resetAndDestroy())
      })
      request.pipe(forwarded)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const { paths } = await push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, [closure.app])
      expect(lost).toBe(2)
      expect([...paths.values()].map(({ status }) => status)).toEqual(closure.appClosure.map(() => 'pushed'))
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })

  test('that stays dead is given up after the time without progress, and the next run goes on', async () => {
    await using cache = await openPushCache(nix, { signing: [key] })
    await using proxy = await openUploadProxy(cache.cache.port)
    const broken = push(proxy.url, [big], store, { patienceMs: 500, jobs: 2 })
    const failed = expect(broken).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('run the command again to continue'),
    })
    await proxy.untilBytes(20_000_000)
    proxy.target = undefined
    proxy.reset()
    await failed
    proxy.target = cache.cache.port
    const before = proxy.bytes
    await push(proxy.url, [big])
    expect(proxy.bytes - before).toBeLessThan(bigBytes)
    await expectPulled(cache, [big])
  })
})

describe('kill -9', () => {
  test.each([0.1, 0.5, 0.95])('of the client after %d of the bytes: the next one sends the rest', async (share) => {
    await using cache = await openPushCache(nix, { signing: [key] })
    await using proxy = await openUploadProxy(cache.cache.port)
    const client = startClient(proxy.url)
    await proxy.untilBytes(bigBytes * share)
    client.kill('SIGKILL')
    await once(client, 'close')
    const { stdout, code } = await runClient(proxy.url)
    expect([code, stdout]).toEqual([0, expect.stringMatching(/1 pushed/)])
    // One part for each of the six jobs may be lost.
    expect(proxy.bytes).toBeLessThan(bigBytes * 1.02 + 6 * 8.5e6)
    await expectPulled(cache, [big])
  })

  test('of the server in the middle: the client goes on when it is back, and what was acknowledged is kept', async () => {
    await using dir = await createScratchDir()
    const users = ['ci', 'ben'].map((name) => ({ name, password: 'secret', access: ['pull', 'push'] }))
    await writeFile(
      dir.file('burrow.json'),
      JSON.stringify({
        listen: '127.0.0.1:0',
        users,
        state: { dir: dir.file('state') },
        store: { realDir: dir.file('none') },
      }),
      { mode: 0o600 },
    )
    const portOf = (url: string) => Number(new URL(url).port)
    const first = await serveBurrow([], { cwd: dir.path })
    await using proxy = await openUploadProxy(portOf(first.url))
    const running = runClient(proxy.url)
    await proxy.untilBytes(bigBytes / 2)
    proxy.target = undefined
    first.kill('SIGKILL')
    await first.exited
    proxy.reset()
    await using second = await serveBurrow([], { cwd: dir.path })
    proxy.target = portOf(second.url)
    const { code, stdout, stderr } = await running
    expect([code, stdout, stderr]).toEqual([0, expect.stringMatching(/1 pushed/), expect.anything()])
    expect(proxy.bytes).toBeLessThan(bigBytes * 1.02 + 8 * 8.5e6)
    const answer = await fetch(`${second.url}/${big.slice(11, 43)}.narinfo`, {
      headers: { authorization: basic('ben', 'secret') },
    })
    expect(answer.status).toBe(200)
  })
})

test('3,000 small paths go in a handful of requests', async () => {
  const many = await nix.openStore()
  const dir = join(await nix.makeDir('many'), 'files')
  await mkdir(dir)
  const names = Array.from({ length: 3000 }, (_, index) => join(dir, `f${index}`))
  for (const name of names) await writeFile(name, name)
  const { stdout } = await many.nixStore(['--add', ...names])
  const paths = stdout.trim().split('\n')
  await using cache = await openPushCache(nix)
  const result = await push(cache.url, paths, many)
  expect([...result.paths.values()].filter(({ status }) => status === 'pushed').length).toBe(3000)
  expect(cache.cache.exchanges.length).toBeLessThanOrEqual(20)
})

function clientArgs(url: string): string[] {
  return ['--disable-warning=ExperimentalWarning', main, 'push', '--to', url, big]
}

function startClient(url: string) {
  return spawn(process.execPath, clientArgs(url), { env: clientEnv(), stdio: ['ignore', 'pipe', 'pipe'] })
}

async function runClient(url: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = startClient(url)
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: code as number | null, stdout, stderr }
}

/** The scratch store as this machine's own. */
function clientEnv(): Record<string, string> {
  const password = join(nix.dir, 'password')
  return {
    PATH: process.env.PATH!,
    HOME: nix.dir,
    NIX_STATE_DIR: store.stateDir,
    BURROW_REAL_STORE_DIR: store.realStoreDir,
    BURROW_USER: 'ci',
    BURROW_PASSWORD_FILE: password,
  }
}

beforeAll(() => writeFile(join(nix.dir, 'password'), 'secret\n', { mode: 0o600 }))

describe('what an upstream cache has', () => {
  test('is not sent when its signature is right, is sent when it is forged, and a client with both caches gets everything', async () => {
    const { openTestCache } = await import('../../fixtures/cache.ts')
    const source = await nix.openStore()
    await nix.run('nix', ['copy', '--no-check-sigs', '--from', store.root, '--to', source.root, closure.app])
    const upstreamKey = await nix.generateKey('upstream-1')
    const otherKey = await nix.generateKey('other-1')
    await source.sign(upstreamKey.secretFile, [closure.text, closure.base])
    // A right signature of another key: a name proves nothing.
    await source.sign(otherKey.secretFile, [closure.lib])
    await using upstream = await openTestCache(source, { signing: [] })
    await using cache = await openPushCache(nix, { signing: [key], policy: { upstreamKeys: [upstreamKey.publicKey] } })
    const { paths } = await push(cache.url, [closure.app], source)
    const statusOf = (path: string) => paths.get(path)?.status
    expect([statusOf(closure.text), statusOf(closure.base), statusOf(closure.lib), statusOf(closure.app)]).toEqual([
      'elsewhere',
      'elsewhere',
      'pushed',
      'pushed',
    ])
    const to = await nix.openStore()
    const netrc = await nix.writeNetrc([{ login: 'ben', password: 'secret' }])
    await nix.realise({
      from: `${upstream.url} ${cache.url}`,
      to,
      paths: [closure.app],
      netrc,
      trustedPublicKeys: [key.publicKey, upstreamKey.publicKey],
    })
    expect((await to.dump(closure.app)).equals(await store.dump(closure.app))).toBe(true)
  })

  test('is sent with --include-upstream, also when it was left out before, and real Nix needs this cache alone', async () => {
    const source = await nix.openStore()
    await nix.run('nix', ['copy', '--no-check-sigs', '--from', store.root, '--to', source.root, closure.app])
    const upstreamKey = await nix.generateKey('upstream-1')
    await source.sign(upstreamKey.secretFile, [closure.text, closure.base])
    await using cache = await openPushCache(nix, { signing: [key], policy: { upstreamKeys: [upstreamKey.publicKey] } })
    const env = { ...clientEnv(), NIX_STATE_DIR: source.stateDir, BURROW_REAL_STORE_DIR: source.realStoreDir }
    const isHere = (path: string) => cache.depot.find(path.slice(11, 43)) !== undefined
    expect(await runBurrow(['push', '--to', cache.url, closure.app], { cwd: nix.dir, env })).toMatchObject({ code: 0 })
    expect([closure.text, closure.base, closure.app].map(isHere)).toEqual([false, false, true])
    const all = ['push', '--to', cache.url, '--include-upstream', closure.app]
    expect(await runBurrow(all, { cwd: nix.dir, env })).toMatchObject({ code: 0 })
    expect([closure.text, closure.base, closure.app].map(isHere)).toEqual([true, true, true])
    await expectPulled(cache, [closure.app], source)
  })
})

test('NARs put an hour before their narinfos, with a collection of another pusher between, are there when the narinfos come', async () => {
  await using cache = await openPushCache(nix, { signing: [key] })
  const folder = await nix.makeDir('folder')
  await nix.run('nix', [
    'copy',
    '--no-check-sigs',
    '--from',
    store.root,
    '--to',
    `file://${folder}?compression=zstd`,
    closure.app,
  ])
  const { readdir, readFile } = await import('node:fs/promises')
  const put = async (path: string, body: Buffer) =>
    (
      await fetch(`${cache.url}/${path}`, {
        method: 'PUT',
        body: new Uint8Array(body),
        headers: { authorization: basic('ci', 'secret') },
      })
    ).status
  for (const name of await readdir(join(folder, 'nar')))
    expect(await put(`nar/${name}`, await readFile(join(folder, 'nar', name)))).toBe(201)
  await cache.depot.collect({ isDryRun: false, olderThanMs: 0 })
  const narInfos = (await readdir(folder)).filter((name) => name.endsWith('.narinfo'))
  const texts = new Map(
    await Promise.all(narInfos.map(async (name) => [name, await readFile(join(folder, name))] as const)),
  )
  const order = closure.appClosure.map((path) => `${path.slice(11, 43)}.narinfo`)
  // Dependencies first, as Nix puts them.
  const done = new Set<string>()
  const visit = async (name: string): Promise<void> => {
    if (done.has(name)) return
    done.add(name)
    const references = /^References: (.*)$/m
      .exec(texts.get(name)!.toString())![1]!
      .split(' ')
      .filter((word) => word !== '')
    for (const reference of references) await visit(`${reference.slice(0, 32)}.narinfo`)
    expect(await put(name, texts.get(name)!)).toBe(201)
  }
  for (const name of order) if (texts.has(name)) await visit(name)
  await expectPulled(cache, [closure.app])
})
