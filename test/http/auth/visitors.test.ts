/** People with browsers whom somebody in front vouches for; Nix goes on by password. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { openTestCache, type TestCache } from '../../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture } from '../../fixtures/nix.ts'

let nix: NixFixture
let cache: TestCache
let closure: BuiltClosure

beforeAll(async () => {
  nix = await openNixFixture()
  const store = await nix.openStore()
  closure = await store.buildClosure()
  cache = await openTestCache(store, {
    visitors: async (headers) => (headers['x-vouched'] === 'ana' ? { name: 'access:ana@example.org' } : undefined),
  })
})

afterAll(async () => {
  await cache[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

const hashPart = () => closure.app.slice(11, 43)
const statusOf = async (path: string, headers: Record<string, string | undefined>) =>
  (await cache.get(path, { headers: { authorization: undefined, ...headers } })).status

describe('a visitor', () => {
  test('sees what is for people, and is named in the access log', async () => {
    const told = cache.exchange(({ route }) => route === 'index')
    expect(await statusOf('/', { 'x-vouched': 'ana' })).toBe(200)
    expect((await told).user).toBe('access:ana@example.org')
    expect(await statusOf(`/${hashPart()}.ls`, { 'x-vouched': 'ana' })).toBe(200)
    expect(await statusOf('/log/absent.drv', { 'x-vouched': 'ana' })).toBe(404)
  })

  test('gets no store object without a password', async () => {
    for (const path of [
      `/${hashPart()}.narinfo`,
      '/nix-cache-info',
      '/nar/x.nar',
      '/v1/public-key',
      '/realisations/x.doi',
    ])
      expect([path, await statusOf(path, { 'x-vouched': 'ana' })]).toEqual([path, 401])
  })

  test('whom nobody vouches for is asked for a password', async () => {
    expect(await statusOf('/', {})).toBe(401)
    expect(await statusOf('/', { 'x-vouched': 'eve' })).toBe(401)
  })

  test('with a wrong password is refused, whoever vouches for it', async () => {
    expect(await statusOf('/', { 'x-vouched': 'ana', authorization: `Basic ${btoa('ben:wrong')}` })).toBe(401)
  })
})
