/**
 * What real Nix does while the store behind the cache cannot be read: a short while is bridged, a long one does not
 * keep a build from going on without the cache.
 */
import { rename } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'

import type { SecretKey } from '../../src/index.ts'
import { parseSecretKey } from '../../src/index.ts'
import { openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore
let key: SecretKey
let netrc: string
let cache: TestCache

// Says where it was made: a build leaves other contents than the cache has.
const expression = `{ thing = derivation {
  name = "thing"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo made > $out" ]; preferLocalBuild = false;
}; }`

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  key = parseSecretKey((await nix.generateKey('test-1')).secretKey)
  await store.build(expression, 'thing')
  netrc = await nix.writeNetrc([{ login: 'ben', password: 'secret' }])
})
afterAll(() => nix[Symbol.asyncDispose]())

beforeEach(async () => {
  cache = await openTestCache(store, { signing: [key] })
})
afterEach(async () => await cache[Symbol.asyncDispose]())

const breakStore = () => rename(store.database, `${store.database}.away`)
const mendStore = () => rename(`${store.database}.away`, store.database)

/** `nix-build` into an empty store with the cache as the only substituter, and the settings that Nix has by itself. */
async function build(
  options: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number | null; readonly isFetched: boolean; readonly text: string }> {
  const to = await nix.openStore()
  const settings = { substituters: cache.url, 'trusted-public-keys': key.publicKey, 'netrc-file': netrc, ...options }
  const args = Object.entries(settings).flatMap(([name, value]) => ['--option', name, value])
  const { code, stderr } = await to.runInside(
    'nix-build',
    ['--no-out-link', await store.writeFile('default.nix', expression), '-A', 'thing', ...args],
    {
      allowFailure: true,
      env: { XDG_CACHE_HOME: await nix.makeDir('cache') },
    },
  )
  return { code, isFetched: /copying path/.test(stderr), text: stderr }
}

test('a build fetches what it needs from a cache that is well', async () => {
  expect(await build()).toMatchObject({ code: 0, isFetched: true })
})

test('a build goes on without a cache that has been ill for a while, although nobody has asked it meanwhile', async () => {
  await breakStore()
  try {
    while (!cache.cache.stats.answersAbsent) await sleep(100)
    expect(cache.exchanges).toEqual([])
    expect(await build()).toMatchObject({ code: 0, isFetched: false })
    expect(new Set(cache.exchanges.filter(({ route }) => route === 'narinfo').map(({ status }) => status))).toEqual(
      new Set([404]),
    )
  } finally {
    await mendStore()
  }
})

test('a build waits for a cache that is ill for two seconds, and fetches from it', async () => {
  await breakStore()
  const mended = sleep(2000).then(mendStore)
  try {
    expect(await build()).toMatchObject({ code: 0, isFetched: true })
    expect(cache.exchanges.some(({ status }) => status === 503)).toBe(true)
  } finally {
    await mended
  }
})

test.each([
  ["Nix's own settings", {}],
  ['the settings that Burrow prints', { 'download-attempts': '7' }],
])('a build with %s goes on without a cache that has just fallen ill', async (_what, options) => {
  await breakStore()
  try {
    expect(await build(options)).toMatchObject({ code: 0, isFetched: false })
    expect(cache.exchanges.some(({ status }) => status === 503)).toBe(true)
  } finally {
    await mendStore()
  }
})
