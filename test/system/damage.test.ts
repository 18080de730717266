/** The right bytes or no bytes: store files that contradict their record are never sent to their end, and the path goes out of service. */
import { randomBytes } from 'node:crypto'
import { appendFile, chmod, open, truncate } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { parseNarInfo } from '../../src/index.ts'
import { openTestCache, type TestCache } from '../fixtures/cache.ts'
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
  test.each(damages)('a file %s is never sent to its end, and its path is withdrawn until it is repaired', async (_what, damage) => {
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
  })
})
