/** Usage figures of the real program and real Nix, compared with the traffic that a test has counted. */
import { randomBytes } from 'node:crypto'
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { hashPartOf, nameOf, type UsageSummary } from '../../src/index.ts'
import { runBurrow, type Served, serve, writeConfig } from '../appliance/burrow.ts'
import { createScratchDir, type ScratchDir } from '../appliance/scratch-dir.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore
let big: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  big = await store.addFile('big-1.0', randomBytes(6 * 1024 * 1024))
})

afterAll(() => nix[Symbol.asyncDispose]())

const users = [
  'ben:secret-of-ben',
  'ci:secret-of-ci',
  { name: 'ana', password: 'secret-of-ana', access: ['pull', 'admin'] },
]

const configure = (dir: ScratchDir, change: object = {}) =>
  writeConfig(dir, {
    users,
    tunnel: 'off',
    state: { dir: dir.file('state') },
    store: { realDir: store.realStoreDir, daemonSocket: null },
    log: { requests: 'each', format: 'json' },
    ...change,
  })

interface Got {
  readonly status: number
  readonly bytes: number
  readonly body: string
  readonly etag: string | undefined
}

/** `cutAfter`: closes the connection once so many bytes of the body have come. */
function get(
  served: Served,
  path: string,
  {
    user = 'ben',
    method = 'GET',
    headers = {},
    cutAfter,
  }: { user?: string; method?: string; headers?: object; cutAfter?: number } = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const auth = user === 'stranger' ? 'ben:wrong' : `${user}:secret-of-${user}`
    const sent = request(new URL(path, served.url), { method, auth, agent: false, headers: { ...headers } })
    sent.on('error', reject)
    sent.once('response', (response: IncomingMessage) => {
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('error', () => {})
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        bytes += chunk.length
        if (cutAfter !== undefined && bytes >= cutAfter) response.destroy()
      })
      response.once('close', () =>
        resolve({
          status: response.statusCode!,
          bytes,
          body: Buffer.concat(chunks).toString('latin1'),
          etag: response.headers.etag,
        }),
      )
    })
    sent.end()
  })
}

async function readUsage(dir: ScratchDir, ...options: string[]): Promise<UsageSummary> {
  const { stdout, stderr, code } = await runBurrow(['usage', '--json', ...options], { cwd: dir.path })
  if (code !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}

const narOf = async (served: Served, path: string) => {
  const { body } = await get(served, `/${hashPartOf(path)}.narinfo`)
  return { url: `/${/^URL: (.+)$/m.exec(body)![1]}`, narSize: Number(/^NarSize: (.+)$/m.exec(body)![1]) }
}

describe('burrow usage', () => {
  test('its figures are those of the traffic: HEAD, 304, 404, 401, ranges and interruptions', async () => {
    await using dir = await createScratchDir()
    await configure(dir)
    await using served = await serve(dir)
    const { url, narSize } = await narOf(served, big)
    const first = await get(served, url, { user: 'ci' })
    expect(first.status).toBe(200)
    const { etag } = await get(served, url, { method: 'HEAD' })
    expect(await get(served, url, { headers: { 'if-none-match': etag } })).toMatchObject({ status: 304, bytes: 0 })
    const cut = await get(served, url, { user: 'ci', cutAfter: 1_000_000 })
    await served.logged(/interrupted|Sent a NAR/)
    const rest = await get(served, url, { user: 'ci', headers: { range: `bytes=${cut.bytes}-` } })
    expect([rest.status, cut.bytes + rest.bytes]).toEqual([206, first.bytes])
    await get(served, url, { user: 'ci', headers: { range: 'bytes=0-99' } })
    const absent = '0'.repeat(32)
    for (const user of ['ben', 'ci', 'ci', 'stranger', 'stranger'])
      await get(served, `/${absent}.narinfo`, { user, method: user === 'ben' ? 'HEAD' : 'GET' })
    await get(served, '/nix-cache-info')

    const { total, users: byUser, paths, missed, missedAsks, slowest } = await readUsage(dir)
    const answered = served.records.filter(({ status, user }) => user !== undefined && status !== 401)
    expect(total.requests).toBe(answered.length)
    expect(total.bytes).toBe(answered.reduce((sum, record) => sum + Number(record.bytes), 0))
    expect(byUser.map(({ user, requests }) => [user, requests])).toEqual([
      ['ci', 6],
      ['ben', 5],
    ])
    expect(total).toMatchObject({ downloads: 2, cut: 1 })
    expect(paths).toMatchObject([{ storePath: big, downloads: 2, users: 1 }])
    // What the server had handed over when the client left is more than what the client got.
    const handedOver = answered
      .filter(({ route, user }) => route === 'nar-compressed' && user === 'ci')
      .reduce((sum, record) => sum + Number(record.bytes), 0)
    expect(paths[0]!.bytes).toBe(handedOver)
    expect(handedOver).toBeGreaterThanOrEqual(2 * first.bytes + 100)
    // Random bytes cannot be compressed.
    expect(total.compressionSaved).toBe(narSize > first.bytes ? expect.any(Number) : 0)
    expect(missed).toMatchObject([{ hashPart: absent, asks: 3, users: 2 }])
    expect(missedAsks).toBe(3)
    expect(slowest.length).toBeGreaterThanOrEqual(2)
    const own = await readUsage(dir, '--user', 'ben', '--days', '1')
    expect(own).toMatchObject({ users: [{ user: 'ben', requests: 5 }], paths: [], slowest: [] })
    expect(own.days).toHaveLength(1)
  })

  test('Nix copies a closure: every path once, and compression saved the difference', async () => {
    await using dir = await createScratchDir()
    await configure(dir)
    const closure = await store.buildClosure()
    await using served = await serve(dir)
    const netrc = await nix.writeNetrc([{ login: 'ben', password: 'secret-of-ben' }])
    const target = await nix.openStore()
    await nix.copy({ from: served.url, to: target, paths: [closure.app], netrc, options: { 'require-sigs': 'false' } })
    const { total, paths, missed } = await readUsage(dir)
    expect(paths.map(({ storePath, downloads, users: by }) => [storePath, downloads, by]).sort()).toEqual(
      closure.appClosure.map((path) => [path, 1, 1]),
    )
    const sizes = await Promise.all(closure.appClosure.map(async (path) => (await narOf(served, path)).narSize))
    const sent = paths.reduce((sum, { bytes }) => sum + bytes, 0)
    expect(total).toMatchObject({ downloads: closure.appClosure.length, cut: 0 })
    expect(total.compressionSaved + sent).toBe(sizes.reduce((sum, size) => sum + size, 0))
    expect(missed).toEqual([])
    expect(paths.map(({ storePath }) => nameOf(storePath))).toContain(nameOf(closure.app))
  })

  test('a path that was not built has the name that its derivation gives it', async () => {
    await using dir = await createScratchDir()
    await configure(dir)
    const expression = await store.writeFile(
      'planned.nix',
      'derivation { name = "planned-1.0"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }',
    )
    const { stdout: drv } = await nix.run('nix-instantiate', ['--store', store.root, expression])
    const { stdout: output } = await store.nixStore(['--query', '--outputs', drv.trim()])
    await using served = await serve(dir)
    expect((await get(served, `/${hashPartOf(output.trim())}.narinfo`)).status).toBe(404)
    expect((await readUsage(dir)).missed).toMatchObject([{ name: 'planned-1.0', asks: 1, users: 1 }])
    expect((await readUsage(dir, '--user', 'ben')).missed).toMatchObject([{ asks: 1 }])
  })

  test('figures survive a stop, and kill -9 once they were stored; a stopped Burrow shows them too', async () => {
    await using dir = await createScratchDir()
    await configure(dir)
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await using served = await serve(dir)
      await get(served, '/nix-cache-info')
      // With SIGTERM, the last seconds are stored by the stop; kill -9 loses what no question or time has stored.
      if (signal === 'SIGKILL') await readUsage(dir)
      served.kill(signal)
      await served.exited
    }
    expect((await readUsage(dir)).total.requests).toBe(2)
    const { stdout } = await runBurrow(['usage'], { cwd: dir.path })
    const ofNone = await runBurrow(['usage', '--user', 'bne'], { cwd: dir.path })
    expect(ofNone.stdout).toMatch(/No requests in 30 days\..* "burrow user list" shows the users\.$/m)
    expect(stdout).toMatch(/^Usage of all users, \d{4}-\d\d-\d\d to \d{4}-\d\d-\d\d \(UTC\)\n\n2 requests, /)
    expect(stdout).toMatch(/By user\n {2}user .*\n {2}ben +2 /)
  })

  test('"analytics": false records nothing, and says how to change that', async () => {
    await using dir = await createScratchDir()
    await configure(dir, { analytics: false })
    await using served = await serve(dir)
    await get(served, '/nix-cache-info')
    const { code, stderr } = await runBurrow(['usage'], { cwd: dir.path })
    expect(code).toBe(1)
    expect(stderr).toContain('records no usage figures: remove "analytics": false')
  })

  test('without a Burrow and without figures, says so; refuses days that make no sense', async () => {
    await using dir = await createScratchDir()
    await configure(dir)
    const none = await runBurrow(['usage'], { cwd: dir.path })
    expect([none.code, none.stderr]).toEqual([1, expect.stringContaining('There are no usage figures')])
    for (const days of ['0', '401'])
      expect((await runBurrow(['usage', '--days', days], { cwd: dir.path })).code).toBe(2)
  })
})
