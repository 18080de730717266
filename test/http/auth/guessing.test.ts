/** Strangers who guess passwords on real sockets, and what a known user notices of it. */
import { connect } from 'node:net'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { benAuthorization, openTestCache, type TestCache } from '../../fixtures/cache.ts'
import { type NixFixture, openNixFixture } from '../../fixtures/nix.ts'

let nix: NixFixture
let cache: TestCache
let narInfo: string

beforeAll(async () => {
  nix = await openNixFixture()
  const store = await nix.openStore()
  const path = await store.addFile('thing', 'x')
  cache = await openTestCache(store)
  narInfo = `/${path.slice(11, 43)}.narinfo`
  expect((await cache.get(narInfo)).status).toBe(200)
})

afterAll(async () => {
  await cache[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

const guess = (index: number, network = 1) =>
  `GET ${narInfo} HTTP/1.1\r\nHost: x\r\nCF-Connecting-IP: 198.51.100.${network}\r\nAuthorization: Basic ${btoa(`ben:guess ${index}`)}\r\n\r\n`

describe('guesses sent in one go', () => {
  test('20 connections with 2,000 each hold up no known user', async () => {
    const sockets = Array.from({ length: 20 }, (_, index) => {
      const socket = connect(cache.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(Array.from({ length: 2000 }, (_, at) => guess(index * 2000 + at, index)).join(''))
      return socket.resume()
    })
    const waits: number[] = []
    for (let request = 0; request < 50; request++) {
      const startedMs = performance.now()
      expect((await cache.get(narInfo)).status).toBe(200)
      waits.push(performance.now() - startedMs)
    }
    // It was 8 seconds; the goal is a quarter of one. The limit leaves room for a busy machine.
    expect(Math.max(...waits)).toBeLessThan(3000)
    for (const socket of sockets) socket.destroy()
  })

  test('are checked one after another on a connection, which ends when too many wait', async () => {
    const socket = connect(cache.port, '127.0.0.1')
    socket.on('error', () => {})
    const before = cache.cache.stats.failedLogins
    const closed = new Promise((resolve) => socket.resume().once('close', resolve))
    socket.write(Array.from({ length: 1000 }, (_, at) => guess(at, 77)).join(''))
    await closed
    expect(cache.cache.stats.failedLogins - before).toBeLessThanOrEqual(1)
  })
})

test('a refused login names in the access log whom it claimed to be', async () => {
  const exchange = cache.exchange(({ status }) => status === 401)
  await cache.get(narInfo, { headers: { authorization: `Basic ${btoa('eve:x')}` } })
  expect(await exchange).toMatchObject({ user: undefined, claimedUser: 'eve' })
})

test('a password that begins with a colon opens every route', async () => {
  cache.cache.reload({
    signing: [],
    users: [{ name: 'ann', secret: { kind: 'plain', password: ':x:' }, access: new Set(['pull']) }],
    indexPage: undefined,
  })
  for (const path of ['/', narInfo, '/nix-cache-info', '/v1/version']) {
    expect([path, (await cache.get(path, { headers: { authorization: `Basic ${btoa('ann::x:')}` } })).status]).toEqual([path, 200])
  }
  expect((await cache.get('/', { headers: { authorization: benAuthorization } })).status).toBe(401)
})
