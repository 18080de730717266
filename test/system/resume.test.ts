/** A download that breaks goes on where it broke: with real Nix, over a line that is cut every few MB. */
import { randomBytes } from 'node:crypto'
import { rename } from 'node:fs/promises'

import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { generateSecretKey } from '../../src/index.ts'
import { openTestCache } from '../fixtures/cache.ts'
import { openCuttingProxy } from '../fixtures/cutting-proxy.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

const megabyte = 1_000_000
let nix: NixFixture
let store: ScratchStore
let path: string
let netrc: string
const key = generateSecretKey('cache.example-1')

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  path = await store.addFile('incompressible', randomBytes(20 * megabyte))
  netrc = await nix.writeNetrc([{ machine: '127.0.0.1', login: 'ben', password: 'secret' }])
})

afterAll(() => nix[Symbol.asyncDispose]())

test.each([
  ['compressed for the first time', {}, false],
  ['compressed and kept', {}, true],
  ['uncompressed', { compression: { type: 'none' } }, false],
] as const)('a NAR, %s, arrives whole over a line that breaks every 6 MB', async (_form, options, isWarm) => {
  await using cache = await openTestCache(store, { signing: [key], ...options })
  if (isWarm) {
    const to = await nix.openStore()
    await nix.copy({ from: cache.url, to, paths: [path], netrc, trustedPublicKeys: [key.publicKey] })
  }
  await using proxy = await openCuttingProxy(cache.port, 6 * megabyte)
  const to = await nix.openStore()
  await nix.copy({ from: proxy.url, to, paths: [path], netrc, trustedPublicKeys: [key.publicKey] })
  expect((await to.dump(path)).equals(await store.dump(path))).toBe(true)
  expect(proxy.cuts).toBe(3)
  const resumed = cache.exchanges.filter(({ status }) => status === 206)
  expect(resumed.length).toBe(3)
  // What was there already was not sent again: at most what lay in buffers when the line broke.
  const sent = resumed.at(-1)!.bytes
  expect(sent).toBeLessThan(3 * megabyte)
})

test('a download goes on where it broke although the store is away when Nix asks for the rest', async () => {
  await using cache = await openTestCache(store, { signing: [key], compression: { type: 'none' } })
  await using proxy = await openCuttingProxy(cache.port, 12 * megabyte)
  const to = await nix.openStore()
  const broken = cache.exchange(({ route, isComplete }) => route === 'nar' && !isComplete)
  const copied = nix.copy({ from: proxy.url, to, paths: [path], netrc, trustedPublicKeys: [key.publicKey] })
  await broken
  await rename(store.database, `${store.database}.away`)
  try {
    await cache.exchange(({ route, status }) => route === 'nar' && status === 503)
  } finally {
    await rename(`${store.database}.away`, store.database)
  }
  await copied
  expect((await to.dump(path)).equals(await store.dump(path))).toBe(true)
  expect(
    cache.exchanges
      .filter(({ route }) => route === 'nar')
      .map(({ status }) => status)
      .filter((status) => status !== 503),
  ).toEqual([200, 206])
})
