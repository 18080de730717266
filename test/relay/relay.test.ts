/** `burrow relay` between real Nix and the real cache, over a line that breaks. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { basename } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { generateSecretKey, hashPartOf, silentLog } from '../../src/index.ts'
import { basic, benAuthorization, openTestCache, type TestCache } from '../fixtures/cache.ts'
import { openCuttingProxy } from '../fixtures/cutting-proxy.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { openTestRelay } from './test-relay.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let big: string
const key = generateSecretKey('cache-1')

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  big = await store.addFile('big', Buffer.concat([randomBytes(6_000_000), Buffer.alloc(6_000_000, 'text ')]))
})

afterAll(() => nix[Symbol.asyncDispose]())

async function copy(from: string, paths: readonly string[]): Promise<ScratchStore> {
  const to = await nix.openStore()
  await nix.copy({ from, to, paths, trustedPublicKeys: [key.publicKey] })
  return to
}

describe('between real Nix and the real cache', () => {
  let cache: TestCache

  beforeAll(async () => {
    cache = await openTestCache(store, { signing: [key] })
  })
  afterAll(async () => await cache[Symbol.asyncDispose]())

  test('Nix copies a closure without a login of its own', async () => {
    await using near = await openTestRelay(cache.url)
    const to = await copy(near.url, [closure.app, big])
    expect((await to.dump(big)).equals(await store.dump(big))).toBe(true)
    expect((await to.dump(closure.app)).equals(await store.dump(closure.app))).toBe(true)
    expect(near.relay.status.nars).toMatchObject({ failed: 0, underWay: 0 })
  })

  test('a line that is cut again and again costs no bytes', async () => {
    await using line = await openCuttingProxy(cache.port, 400_000)
    await using near = await openTestRelay(line.url)
    const to = await copy(near.url, [big])
    expect((await to.dump(big)).equals(await store.dump(big))).toBe(true)
    expect(line.cuts).toBeGreaterThan(10)
    expect(near.relay.status.nars.resumed).toBeGreaterThan(10)
    // What arrives twice is only what was on its way in a cut connection.
    expect(near.relay.status.bytes.received).toBeLessThan(6_100_000 * 1.01)
  })

  test('a far end that is away is a 404 at once, and is found again', async () => {
    const front = createServer()
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
    const { port } = front.address() as AddressInfo
    await new Promise((resolve) => front.close(resolve))
    await using near = await openTestRelay(`http://127.0.0.1:${port}`)
    const narInfo = `${near.url}/${hashPartOf(big)}.narinfo`
    const answer = await fetch(narInfo)
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([404, 'no-store'])
    expect((await fetch(`${near.url}/nix-cache-info`)).status).toBe(200)
    expect(near.relay.status.problem).toBe('ECONNREFUSED')
    await using line = await openLineAt(port, cache.port)
    void line
    for (let tries = 0; (await fetch(narInfo)).status !== 200 && tries < 600; tries++)
      await new Promise((resolve) => setTimeout(resolve, 100))
    expect((await fetch(narInfo)).status).toBe(200)
    expect(near.relay.status.problem).toBeNull()
  })

  test('a hundred readers that do not read hold up no question', async () => {
    await using near = await openTestRelay(cache.url)
    const narInfo = await (await fetch(`${near.url}/${hashPartOf(big)}.narinfo`)).text()
    const path = /^URL: (.*)$/m.exec(narInfo)![1]!
    const readers = Array.from({ length: 100 }, () => {
      const socket = connect(near.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(`GET /${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
      return socket.pause()
    })
    try {
      while (near.relay.status.nars.underWay < readers.length) await new Promise((resolve) => setTimeout(resolve, 20))
      expect((await fetch(`${near.url}/${hashPartOf(closure.app)}.narinfo`)).status).toBe(200)
      expect(near.relay.status.problem).toBeNull()
    } finally {
      for (const socket of readers) socket.destroy()
    }
  })

  test('a login that is refused is said in the status and in the log', async () => {
    const lines: string[] = []
    const log = { ...silentLog, warn: (_fields: object, message: string) => void lines.push(message) }
    await using near = await openTestRelay(cache.url, { authorization: () => basic('ben', 'wrong'), log })
    expect((await fetch(`${near.url}/${hashPartOf(big)}.narinfo`)).status).toBe(404)
    expect(near.relay.status.problem).toMatch(/refuses the login/)
    expect(lines).toEqual([expect.stringMatching(/refuses the login/)])
  })

  test('a login that was refused is not sent with questions again, and another one is sent at once', async () => {
    const refused = Promise.withResolvers<void>()
    const lines: string[] = []
    const note = (_fields: object, message: string) => void lines.push(message)
    const log = { ...silentLog, warn: (_fields: object) => refused.resolve(), info: note }
    let authorization = basic('ben', 'wrong')
    await using near = await openTestRelay(cache.url, { authorization: () => authorization, log })
    await refused.promise
    const asked = cache.exchanges.length
    const ask = () => fetch(`${near.url}/${hashPartOf(big)}.narinfo`)
    for (let at = 0; at < 3; at++) expect((await ask()).status).toBe(404)
    expect((await fetch(`${near.url}/log/${basename(closure.appDrv)}`)).status).toBe(404)
    expect(cache.exchanges.length).toBe(asked)
    authorization = benAuthorization
    expect((await ask()).status).toBe(200)
    expect(near.relay.status.problem).toBeNull()
    expect(lines).toEqual(['The cache accepts the login again'])
  })

  test('pages of other hosts learn nothing', async () => {
    await using near = await openTestRelay(cache.url)
    const { port } = new URL(near.url)
    const { request } = await import('node:http')
    const status = await new Promise((resolve, reject) => {
      request({ port, path: '/nix-cache-info', headers: { host: `evil.example:${port}` } }, (reply) => {
        reply.resume()
        resolve(reply.statusCode)
      })
        .on('error', reject)
        .end()
    })
    expect(status).toBe(421)
  })
})

async function openLineAt(port: number, to: number): Promise<AsyncDisposable> {
  const server = createTcpServer((near) => {
    const far = connect(to, '127.0.0.1')
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    async [Symbol.asyncDispose]() {
      server.close()
    },
  }
}
