/**
 * The right bytes or no bytes: store files that contradict their record are never sent to their end, and the path goes
 * out of service.
 */
import { randomBytes } from 'node:crypto'
import { appendFile, chmod, open, truncate } from 'node:fs/promises'
import { request } from 'node:http'
import { DatabaseSync } from 'node:sqlite'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { parseNarInfo } from '../../src/index.ts'
import { benAuthorization, openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
})

afterAll(() => nix[Symbol.asyncDispose]())

const size = 3_000_000
const narInfoOf = (cache: TestCache, path: string) => cache.get(`/${path.slice(11, 43)}.narinfo`)

const damages: readonly (readonly [string, (file: string) => Promise<void>])[] = [
  [
    'one byte changed at its end',
    async (file) => {
      await using handle = await open(file, 'r+')
      await handle.write(Buffer.from('!'), 0, 1, size - 1)
    },
  ],
  ['cut short', (file) => truncate(file, size - 1)],
  ['grown', (file) => appendFile(file, 'more')],
]

describe.each(['zstd', 'none'] as const)('with compression %s', (type) => {
  test.each(damages)(
    'a file %s is never sent to its end, and its path is withdrawn until it is repaired',
    async (_what, damage) => {
      await using cache = await openTestCache(store, { compression: { type, level: 3 } })
      const content = randomBytes(size)
      const path = await store.addFile('damaged', content)
      const file = store.root + path
      const { url } = parseNarInfo((await narInfoOf(cache, path)).body.toString())!
      await chmod(file, 0o644)
      await damage(file)

      const broken = await cache.get(`/${url}`)
      expect(broken.status === 404 || !broken.isComplete).toBe(true)
      expect((await narInfoOf(cache, path)).status).toBe(404)
      expect((await cache.get(`/${url}`)).status).toBe(404)
      expect(cache.log.filter(({ level }) => level === 'error')).toHaveLength(1)
      expect(JSON.stringify(cache.log.find(({ level }) => level === 'error'))).toContain(path)

      await store.deletePath(path)
      expect(await store.addFile('damaged', content)).toBe(path)
      expect((await narInfoOf(cache, path)).status).toBe(200)
      expect((await cache.get(`/${url}`)).isComplete).toBe(true)
    },
  )
})

test('a path deleted and added again since its narinfo was served is withdrawn all the same', async () => {
  await using cache = await openTestCache(store, { compression: { type: 'none' } })
  const content = randomBytes(size)
  const path = await store.addFile('registered-anew', content)
  const { url } = parseNarInfo((await narInfoOf(cache, path)).body.toString())!
  await store.deletePath(path)
  await store.addFile('registered-anew', content)
  // Times of registration are told in whole seconds.
  using database = new DatabaseSync(store.database)
  database.prepare('update ValidPaths set registrationTime = registrationTime + 60 where path = ?').run(path)
  expect((await narInfoOf(cache, path)).status).toBe(200)
  await chmod(store.root + path, 0o644)
  await appendFile(store.root + path, 'more')
  await cache.get(`/${url}`)
  expect((await narInfoOf(cache, path)).status).toBe(404)
})

test('a path found wrong after its client has left is withdrawn all the same', async () => {
  await using cache = await openTestCache(store)
  const path = await store.addFile('left', randomBytes(30_000_000))
  const { url } = parseNarInfo((await narInfoOf(cache, path)).body.toString())!
  await chmod(store.root + path, 0o644)
  {
    await using file = await open(store.root + path, 'r+')
    await file.write(Buffer.from('!!!!'), 0, 4, 29_999_990)
  }
  await new Promise<void>((resolve) => {
    const asking = request(
      {
        host: '127.0.0.1',
        port: cache.port,
        path: `/${url}`,
        agent: false,
        headers: { authorization: benAuthorization },
      },
      (response) => {
        response.on('error', () => {})
        response.once('data', () => asking.destroy())
        response.once('close', resolve)
      },
    )
    asking.on('error', () => {})
    asking.end()
  })
  const withdrawn = () =>
    cache.log.some(({ level, fields }) => level === 'error' && JSON.stringify(fields).includes(path))
  while (!withdrawn()) await new Promise((resolve) => setImmediate(resolve))
  expect((await narInfoOf(cache, path)).status).toBe(404)
})
