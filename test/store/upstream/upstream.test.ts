/** Another binary cache behind ours: folders that real Nix wrote, on servers good and bad, and Burrow behind Burrow. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { findDecompressors } from '../../../appliance/server/decompressors.ts'
import { ChunkBuffers } from '../../../src/disk/chunk-buffers.ts'
import { OpenFiles } from '../../../src/disk/open-files.ts'
import { generateSecretKey, hashPartOf, parseNarInfo, silentLog } from '../../../src/index.ts'
import type { VerifiedNar } from '../../../src/store/upstream/spool.ts'
import { openUpstreamStore, type UpstreamStore } from '../../../src/store/upstream/upstream-store.ts'
import { benAuthorization, openTestCache, type TestCache } from '../../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { type PlainCache, servePlainCache } from '../../fixtures/plain-cache.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let big: string
let key: { readonly publicKey: string; readonly secretFile: string }
const ownKey = generateSecretKey('own-1')

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  big = await store.addFile('big', Buffer.concat([randomBytes(1_500_000), Buffer.alloc(1_500_000, 'text ')]))
  key = await nix.generateKey('upstream-1')
  await store.sign(key.secretFile, [closure.app, closure.lib, closure.base, closure.text, big])
})

afterAll(() => nix[Symbol.asyncDispose]())

const makeFolder = (compression: string, paths: readonly string[] = [closure.app, big]) =>
  nix.copyToFolder(store, compression, paths)

interface Opened {
  readonly upstream: UpstreamStore
  readonly kept: VerifiedNar[]
  readonly clock: { ms: number }
  readonly spoolDir: string
}

async function open(
  url: string,
  { publicKeys = [key.publicKey], authorization }: { publicKeys?: readonly string[]; authorization?: string } = {},
): Promise<Opened> {
  const spoolDir = await nix.makeDir('spool')
  const kept: VerifiedNar[] = []
  const clock = { ms: 0 }
  const upstream = openUpstreamStore({
    url: new URL(url),
    authorization,
    publicKeys,
    storeDir: '/nix/store',
    spoolDir,
    keep: async (nar) => {
      await rename(nar.file, `${nar.file}.kept`)
      kept.push({ ...nar, file: `${nar.file}.kept` })
    },
    files: new OpenFiles(),
    buffers: new ChunkBuffers(),
    decompressors: findDecompressors(process.env.PATH),
    version: '0',
    log: silentLog,
    now: () => clock.ms,
  })
  return { upstream, kept, clock, spoolDir }
}

const cacheOf = ({ upstream }: Opened): Promise<TestCache> =>
  openTestCache(store, { stores: [upstream], signing: [ownKey] })
const narInfoOf = async (cache: TestCache, path: string) =>
  parseNarInfo((await cache.get(`/${hashPartOf(path)}.narinfo`)).body.toString())
const narsAsked = ({ requests }: PlainCache) => requests.filter((request) => request.startsWith('GET /nar/'))

describe.each([
  ['none', {}],
  ['xz', {}],
  ['zstd', { version: '1.0' }],
  ['zstd', { version: '1.0', withLength: false, withRanges: false }],
  ['gzip', { withLength: false }],
] as const)('a cache with %s on a server %j', (compression, options) => {
  test('is copied through ours by real Nix, which trusts its key alone, and each NAR is verified and kept once', async () => {
    await using server = await servePlainCache(await makeFolder(compression), options)
    const opened = await open(server.url)
    await using cache = await cacheOf(opened)
    const client = await nix.openStore()
    const from = `http://ben:secret@127.0.0.1:${cache.port}`
    await nix.run('nix', [
      'copy',
      '--from',
      from,
      '--to',
      client.root,
      '--option',
      'trusted-public-keys',
      key.publicKey,
      closure.app,
      big,
    ])
    expect((await client.dump(big)).equals(await store.dump(big))).toBe(true)
    const info = (await narInfoOf(cache, big))!
    // Not verified when its narinfo was served: it is not ours to sign.
    expect(info.signatures.map((signature) => signature.split(':')[0])).toEqual(['upstream-1'])
    expect(opened.kept.length).toBe(new Set(narsAsked(server)).size)
    await opened.upstream[Symbol.asyncDispose]()
  })
})

describe('one download', () => {
  test('serves all who ask, whole and in ranges, and goes on where its line broke', async () => {
    const dir = await makeFolder('zstd', [big])
    await using server = await servePlainCache(dir)
    server.cutAfter = 600_000
    const opened = await open(server.url)
    await using cache = await cacheOf(opened)
    const { url } = (await narInfoOf(cache, big))!
    const stored = await readFile(
      join(dir, parseNarInfo(await readFile(join(dir, `${hashPartOf(big)}.narinfo`), 'utf8'))!.url),
    )
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        cache.get(`/${url}`, index % 2 === 0 ? {} : { headers: { range: 'bytes=1000000-' } }),
      ),
    )
    for (const [index, { status, body, isComplete }] of answers.entries()) {
      expect([status, isComplete]).toEqual([index % 2 === 0 ? 200 : 206, true])
      expect(body.equals(index % 2 === 0 ? stored : stored.subarray(1_000_000))).toBe(true)
    }
    // What was on its way when a connection broke may be asked again.
    expect(narsAsked(server).length).toBeGreaterThanOrEqual(Math.ceil(stored.length / 600_000))
    expect(opened.kept.length).toBe(1)
    expect((await readFile(opened.kept[0]!.file)).equals(stored)).toBe(true)
    await opened.upstream[Symbol.asyncDispose]()
  })

  test('goes on when its first client leaves, so that the next one finds it', async () => {
    await using server = await servePlainCache(await makeFolder('none', [big]))
    const opened = await open(server.url)
    await using cache = await cacheOf(opened)
    const { url } = (await narInfoOf(cache, big))!
    await cache.get(`/${url}`, { signal: AbortSignal.timeout(5) })
    expect((await cache.get(`/${url}`)).body.equals(await store.dump(big))).toBe(true)
    expect(narsAsked(server).length).toBe(1)
    await opened.upstream[Symbol.asyncDispose]()
    // Nothing is left of a NAR that was not kept.
    expect((await readdir(opened.spoolDir)).every((name) => name.endsWith('.kept'))).toBe(true)
  })
})

describe('what an upstream must not get by with', () => {
  test.each([
    ['no signature', (text: string) => text.replace(/^Sig: .*\n/gm, '')],
    [
      'a signature of another content',
      (text: string) => text.replace(/^NarSize: (\d+)$/m, (_all, size: string) => `NarSize: ${Number(size) + 1}`),
    ],
    ['a URL that leads away', (text: string) => text.replace(/^URL: .*$/m, 'URL: http://127.0.0.1:1/nar/x')],
    ['a URL that climbs', (text: string) => text.replace(/^URL: .*$/m, 'URL: ../nar/x')],
  ])('a narinfo with %s is absent', async (_what, change) => {
    const dir = await makeFolder('zstd', [big])
    const file = join(dir, `${hashPartOf(big)}.narinfo`)
    await writeFile(file, change(await readFile(file, 'utf8')))
    await using server = await servePlainCache(dir)
    const opened = await open(server.url)
    await using cache = await cacheOf(opened)
    expect((await cache.get(`/${hashPartOf(big)}.narinfo`)).status).toBe(404)
    expect(narsAsked(server)).toEqual([])
    await opened.upstream[Symbol.asyncDispose]()
  })

  test.each([
    [
      'other bytes of the same length',
      (bytes: Buffer) => Buffer.from(bytes.map((byte, index) => (index === 2_000_000 ? byte ^ 1 : byte))),
    ],
    ['bytes behind its end', (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1000)])],
    ['less than all', (bytes: Buffer) => bytes.subarray(0, -8)],
  ])('a NAR with %s is never a whole reply, is not kept, and is absent afterwards', async (_what, change) => {
    const dir = await makeFolder('none', [big])
    const file = join(dir, parseNarInfo(await readFile(join(dir, `${hashPartOf(big)}.narinfo`), 'utf8'))!.url)
    await writeFile(file, change(await readFile(file)))
    await using server = await servePlainCache(dir, { withLength: false, withRanges: false })
    const opened = await open(server.url)
    await using cache = await cacheOf(opened)
    const { url } = (await narInfoOf(cache, big))!
    const { status, isComplete } = await cache.get(`/${url}`)
    expect(status !== 200 || !isComplete).toBe(true)
    expect(opened.kept).toEqual([])
    await opened.upstream[Symbol.asyncDispose]()
  })

  test('a password goes to its own origin only, and redirects lead to no service of this machine', async () => {
    const dir = await makeFolder('none', [closure.text])
    await using other = await servePlainCache(dir)
    const { createServer } = await import('node:http')
    const seen: (string | undefined)[] = []
    const redirecting = createServer((request, response) => {
      seen.push(request.headers.authorization)
      response.writeHead(302, { location: `${other.url}${request.url}` }).end()
    })
    await new Promise<void>((resolve) => redirecting.listen(0, '127.0.0.1', resolve))
    const { port } = redirecting.address() as { port: number }
    const opened = await open(`http://127.0.0.1:${port}`, { authorization: 'Basic c2VjcmV0' })
    await using cache = await cacheOf(opened)
    expect((await cache.get(`/${hashPartOf(closure.text)}.narinfo`)).status).toBe(404)
    expect(seen).toEqual(['Basic c2VjcmV0'])
    expect(other.requests).toEqual([])
    redirecting.close()
    await opened.upstream[Symbol.asyncDispose]()
  })
})

describe('an upstream that is ill', () => {
  test('is never an error of ours: its paths are absent, it is left alone for a while, and asked again', async () => {
    await using server = await servePlainCache(await makeFolder('none', [big]))
    const opened = await open(server.url)
    await using cache = await cacheOf(opened)
    server.status = 502
    for (let index = 0; index < 5; index++)
      expect((await cache.get(`/${hashPartOf(big).replace(/^./, `${index}`)}.narinfo`)).status).toBe(404)
    expect(server.requests.length).toBe(3)
    expect(opened.upstream.health()).toMatchObject({
      isReadable: false,
      problem: expect.stringContaining('HTTP 502'),
      upstream: { lookups: 3, hits: 0, misses: 0, failures: 3, skipped: 2, isBreakerOpen: true },
    })
    server.status = 200
    expect((await cache.get(`/${hashPartOf(big)}.narinfo`)).status).toBe(404)
    opened.clock.ms += 5_001
    expect((await cache.get(`/${hashPartOf(big)}.narinfo`)).status).toBe(200)
    expect(opened.upstream.health()).toMatchObject({
      isReadable: true,
      upstream: { lookups: 4, hits: 1, misses: 0, failures: 3, skipped: 3, isBreakerOpen: false, receivedBytes: 0 },
    })
    // Uncompressed there, so the file has the bytes of the NAR.
    const object = await opened.upstream.find(hashPartOf(big))
    const { url } = parseNarInfo((await cache.get(`/${hashPartOf(big)}.narinfo`)).body.toString())!
    expect((await cache.get(`/${url}`)).body).toHaveLength(object!.info.narSize)
    expect(opened.upstream.health().upstream?.receivedBytes).toBe(object!.info.narSize)
    await opened.upstream[Symbol.asyncDispose]()
  })

  test('that does not even listen, or answers nothing, costs a bounded time', async () => {
    await using server = await servePlainCache(await nix.makeDir('empty'))
    server.isSilent = true
    for (const url of ['http://127.0.0.1:1', server.url]) {
      const opened = await open(url)
      await using cache = await cacheOf(opened)
      const { status } = await cache.get(`/${hashPartOf(big)}.narinfo`)
      expect(status).toBe(404)
      await opened.upstream[Symbol.asyncDispose]()
    }
  })

  test('whose NARs do not come asks the client to come again, and says nothing against the path', async () => {
    const dir = await makeFolder('none', [big])
    await using server = await servePlainCache(dir)
    const opened = await open(server.url)
    await using cache = await cacheOf(opened)
    const { url } = (await narInfoOf(cache, big))!
    server.status = 503
    expect((await cache.get(`/${url}`)).status).toBe(503)
    server.status = 200
    expect((await cache.get(`/${url}`)).body.equals(await store.dump(big))).toBe(true)
    await opened.upstream[Symbol.asyncDispose]()
  })

  test('what is absent there is asked again after a while, what is there is remembered', async () => {
    const dir = await makeFolder('none', [closure.text])
    await mkdir(join(dir, 'later'))
    await using server = await servePlainCache(dir)
    const opened = await open(server.url)
    await using cache = await cacheOf(opened)
    const path = `/${hashPartOf(big)}.narinfo`
    for (let index = 0; index < 3; index++) expect((await cache.get(path)).status).toBe(404)
    await nix.run('nix', [
      'copy',
      '--no-check-sigs',
      '--from',
      store.root,
      '--to',
      `file://${dir}?compression=none`,
      big,
    ])
    opened.clock.ms += 30_001
    for (let index = 0; index < 3; index++) expect((await cache.get(path)).status).toBe(200)
    expect(server.requests.filter((request) => request.includes(hashPartOf(big))).length).toBe(2)
    await opened.upstream[Symbol.asyncDispose]()
  })
})

describe('Burrow behind Burrow behind Burrow', () => {
  test('passes a closure on to real Nix, also where the first does not know its compressed sizes yet', async () => {
    const firstKey = generateSecretKey('first-1')
    await using first = await openTestCache(store, { signing: [firstKey] })
    const second = await open(first.url, { publicKeys: [firstKey.publicKey], authorization: benAuthorization })
    await using middle = await cacheOf(second)
    const third = await open(middle.url, { publicKeys: [firstKey.publicKey], authorization: benAuthorization })
    await using last = await cacheOf(third)
    const client = await nix.openStore()
    await nix.run('nix', [
      'copy',
      '--from',
      `http://ben:secret@127.0.0.1:${last.port}`,
      '--to',
      client.root,
      '--option',
      'trusted-public-keys',
      firstKey.publicKey,
      closure.app,
      big,
    ])
    expect((await client.dump(closure.app)).equals(await store.dump(closure.app))).toBe(true)
    expect((await client.dump(big)).equals(await store.dump(big))).toBe(true)
    await third.upstream[Symbol.asyncDispose]()
    await second.upstream[Symbol.asyncDispose]()
  })
})
