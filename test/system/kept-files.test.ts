/**
 * Kept files that are changed behind Burrow's back, at each moment of their use, with real Nix as the client: it never
 * meets a wrong byte, nor a failure.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { generateSecretKey, parseNarInfo } from '../../src/index.ts'
import { get, openTestCache, type TestCache } from '../fixtures/cache.ts'
import { openCuttingProxy } from '../fixtures/cutting-proxy.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

const megabyte = 1_000_000
const key = generateSecretKey('cache.example-1')
let nix: NixFixture
let store: ScratchStore
let netrc: string
let larderDir: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  netrc = await nix.writeNetrc([{ machine: '127.0.0.1', login: 'ben', password: 'secret' }])
})
beforeEach(async () => {
  larderDir = await nix.makeDir('larder')
})
afterAll(() => nix[Symbol.asyncDispose]())

const open = () => openTestCache(store, { signing: [key], larder: { dir: larderDir, maxBytes: 2 ** 30 } })

async function copy(from: string, path: string): Promise<void> {
  const to = await nix.openStore()
  await nix.copy({ from, to, paths: [path], netrc, trustedPublicKeys: [key.publicKey] })
  expect((await to.dump(path)).equals(await store.dump(path))).toBe(true)
}

async function urlOf(cache: TestCache, path: string): Promise<string> {
  return `/${parseNarInfo((await cache.get(`/${path.slice(11, 43)}.narinfo`)).body.toString())!.url}`
}

/** In the one kept file, in place. */
async function flipByte(share: number): Promise<void> {
  const names = (await readdir(larderDir)).filter((name) => /^[0-9a-z]{52}\./.test(name))
  expect(names).toHaveLength(1)
  const at = Math.floor(Number(names[0]!.split('.').at(-1)) * share)
  const fd = openSync(join(larderDir, names[0]!), 'r+')
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, at)
  byte[0]! ^= 1
  writeSync(fd, byte, 0, 1, at)
  closeSync(fd)
}

const warnings = (cache: TestCache) =>
  cache.log.filter(({ message }) => message.includes('is missing, truncated or damaged'))

describe.each([
  ['large', 3 * megabyte],
  ['small', 5000],
])('a %s file', (_what, size) => {
  test.each([0, 0.5, 0.999])(
    'changed while Burrow is down is made again, and Nix does not notice (at %d)',
    async (share) => {
      const path = await store.addFile(`down-${share}`, randomBytes(size))
      {
        await using cache = await open()
        await copy(cache.url, path)
      }
      await flipByte(share)
      await using cache = await open()
      await copy(cache.url, path)
      expect(warnings(cache)).toHaveLength(1)
      await copy(cache.url, path)
      expect(cache.exchanges.filter(({ status }) => status >= 500)).toEqual([])
    },
  )

  test.each([0, 0.5, 0.999])(
    'changed after it was sent is right for the next client, of a prepared reply too (at %d)',
    async (share) => {
      const path = await store.addFile(`sent-${share}`, randomBytes(size))
      await using cache = await open()
      const url = await urlOf(cache, path)
      // The second and third are hits; what is small comes prepared.
      for (let round = 0; round < 3; round++) await cache.get(url, { headers: { connection: 'keep-alive' } })
      const right = (await cache.get(url)).body
      await flipByte(share)
      const [whole, range] = [await cache.get(url), await cache.get(url, { headers: { range: 'bytes=1000-' } })]
      expect([whole.status, range.status]).toEqual([200, 206])
      expect(whole.body.equals(right)).toBe(true)
      expect(range.body.equals(right.subarray(1000))).toBe(true)
      await copy(cache.url, path)
    },
  )
})

test('a file changed between a broken download and its resumption is made again, and Nix goes on to the right end', async () => {
  const path = await store.addFile('resumed', randomBytes(20 * megabyte))
  await using cache = await open()
  await copy(cache.url, path)
  await using proxy = await openCuttingProxy(cache.port, 6 * megabyte)
  const cut = cache.exchange(({ route, isComplete }) => route === 'nar-compressed' && !isComplete)
  const copying = copy(proxy.url, path)
  await cut
  await flipByte(0.1)
  await flipByte(0.9)
  await copying
  expect(warnings(cache)).toHaveLength(1)
  expect(proxy.cuts).toBe(3)
})

test('a client that takes a download in pieces of ranges never joins a wrong byte, whenever the file is changed', async () => {
  const path = await store.addFile('pieces', randomBytes(4 * megabyte))
  await using cache = await open()
  const url = await urlOf(cache, path)
  const right = (await cache.get(url)).body
  let cuts = 0
  for (let round = 0; round < 12; round++) {
    const pieces: Buffer[] = []
    let at = 0
    for (let piece = 0; at < right.length; piece++) {
      if (piece === round % 6) await flipByte(((round * 37) % 100) / 100)
      const answer = await get(cache.port, url, { headers: { range: `bytes=${at}-${at + 699_999}` } })
      // Cut before a byte came: the file was found changed within the clock tick of its last change. A client asks
      // again.
      if (answer.status === 0 && cuts++ < 12) continue
      expect(answer.status).toBe(206)
      pieces.push(answer.body)
      at += answer.body.length
      // What was dropped is being made again.
      while (cache.cache.stats.larder!.fillsUnderWay > 0) await new Promise(setImmediate)
    }
    expect(Buffer.concat(pieces).equals(right)).toBe(true)
  }
  expect(warnings(cache)).toHaveLength(12)
})
