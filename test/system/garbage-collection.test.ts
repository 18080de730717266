/** Garbage collections between narinfo and NAR, and in the middle of one. */
import { randomBytes } from 'node:crypto'
import { access } from 'node:fs/promises'
import { request } from 'node:http'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { parseNarInfo } from '../../src/index.ts'
import { benAuthorization, openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  await store.addFile('first', 'makes the database\n')
})

afterAll(() => nix[Symbol.asyncDispose]())

const narUrlOf = async (cache: TestCache, path: string) =>
  parseNarInfo((await cache.get(`/${path.slice(11, 43)}.narinfo`)).body.toString())!.url
const isThere = (path: string) =>
  access(store.root + path).then(
    () => true,
    () => false,
  )

describe('without a daemon', () => {
  test('a path collected between narinfo and NAR is a 404, compressed or not', async () => {
    for (const type of ['zstd', 'none'] as const) {
      await using cache = await openTestCache(store, { compression: { type, level: 3 } })
      const path = await store.addFile('collected', randomBytes(1000))
      const url = await narUrlOf(cache, path)
      await store.collectGarbage()
      expect(await isThere(path)).toBe(false)
      expect((await cache.get(`/${url}`)).status).toBe(404)
    }
  })

  test('a path in the larder is a 404 as well once its record is gone', async () => {
    await using cache = await openTestCache(store)
    const path = await store.addFile('kept', randomBytes(1000))
    const url = await narUrlOf(cache, path)
    expect((await cache.get(`/${url}`)).status).toBe(200)
    await store.deletePath(path)
    expect((await cache.get(`/${url}`)).status).toBe(404)
  })

  test('a NAR collected while it is sent arrives whole or is reset, never short', async () => {
    await using cache = await openTestCache(store, { compression: { type: 'none' } })
    // Many files, so that some are still to be opened when they vanish.
    const tree = `${nix.dir}/tree`
    await nix.run('sh', ['-c', `mkdir ${tree} && cd ${tree} && head -c 40000000 /dev/urandom | split -b 100000 -a 4 -`])
    const path = await store.addTree(tree)
    const url = await narUrlOf(cache, path)
    const { promise: done, resolve } = Promise.withResolvers<{
      received: number
      isComplete: boolean
      announced: number
    }>()
    const asking = request(
      {
        host: '127.0.0.1',
        port: cache.port,
        path: `/${url}`,
        agent: false,
        headers: { authorization: benAuthorization },
      },
      (response) => {
        let received = 0
        response.once('data', async (chunk: Buffer) => {
          received += chunk.length
          response.pause()
          await store.deletePath(path)
          response.on('data', (more: Buffer) => {
            received += more.length
          })
          response.resume()
        })
        response.on('error', () => {})
        response.once('close', () =>
          resolve({ received, isComplete: response.complete, announced: Number(response.headers['content-length']) }),
        )
      },
    )
    asking.on('error', () => {})
    asking.end()
    const { received, isComplete, announced } = await done
    expect(isComplete).toBe(received === announced)
    expect(isComplete).toBe(false)
    // A collection is nobody's fault: the path is gone, not withdrawn.
    expect(cache.log.filter(({ level }) => level === 'error')).toEqual([])
  })
})

describe('with a daemon', () => {
  test('a path whose narinfo was served outlives a garbage collection, and its NAR arrives', async () => {
    await using daemon = await store.startDaemon()
    await using cache = await openTestCache(store, { daemonSocket: daemon.socket })
    const path = await store.addFile('leased', randomBytes(1000))
    const unasked = await store.addFile('unasked', randomBytes(1000))
    const url = await narUrlOf(cache, path)
    await store.collectGarbage()
    expect(await isThere(unasked)).toBe(false)
    expect(await isThere(path)).toBe(true)
    expect((await cache.get(`/${url}`)).status).toBe(200)
  })
})
