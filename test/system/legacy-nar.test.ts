/** The NAR URL of older caches. */
import { randomBytes } from 'node:crypto'
import { chmod, open } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore
let cache: TestCache
let path: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  path = await store.addFile('older', Buffer.concat([randomBytes(500_000), Buffer.alloc(500_000, 'text ')]))
  cache = await openTestCache(store)
})

afterAll(async () => {
  await cache[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

const hashPartOf = (storePath: string) => storePath.slice(11, 43)

describe('/nar/<hash part>.nar', () => {
  test('is the NAR', async () => {
    const { status, headers, body } = await cache.get(`/nar/${hashPartOf(path)}.nar`)
    expect(status).toBe(200)
    expect(headers['content-type']).toBe('application/x-nix-nar')
    expect(headers['content-encoding']).toBeUndefined()
    expect(headers['cache-control']).toBe('private, no-transform')
    expect(body.equals(await store.dump(path))).toBe(true)
    expect(headers['accept-ranges']).toBe('bytes')
  })

  test('answers HEAD, wants a user, and is absent for an absent path', async () => {
    const head = await cache.get(`/nar/${hashPartOf(path)}.nar`, { method: 'HEAD' })
    expect(head.status).toBe(200)
    expect(head.body.length).toBe(0)
    expect((await cache.get(`/nar/${hashPartOf(path)}.nar`, { headers: { authorization: undefined } })).status).toBe(
      401,
    )
    expect((await cache.get(`/nar/${'0'.repeat(32)}.nar`)).status).toBe(404)
  })

  test('never ends for a NAR that is not the recorded one', async () => {
    const damaged = await store.addFile('damaged', randomBytes(2_000_000))
    await chmod(store.root + damaged, 0o644)
    {
      await using file = await open(store.root + damaged, 'r+')
      await file.write(Buffer.from('!!!!'), 0, 4, 1_999_990)
    }
    const { status, isComplete } = await cache.get(`/nar/${hashPartOf(damaged)}.nar`)
    expect(status === 404 || !isComplete).toBe(true)
    expect((await cache.get(`/${hashPartOf(damaged)}.narinfo`)).status).toBe(404)
  })

  test('is absent in the compressed forms of older caches', async () => {
    for (const suffix of ['xz', 'bz2'])
      expect((await cache.get(`/nar/${hashPartOf(path)}.nar.${suffix}`)).status).toBe(404)
  })
})
