/** A path of the local store that is not published is answered, at every address, as a path that is not here. */
import { createHash } from 'node:crypto'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { hashPartOf, type LocalStore, openLocalStore, parseNarInfo, silentLog } from '../../src/index.ts'
import { encodeNix32 } from '../../src/nix/nix32.ts'
import type { ClosureLine } from '../../src/relay/protocol.ts'
import { type Answer, basic, benAuthorization, openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { everything, openPublished, type TestPublishedStore } from '../fixtures/published.ts'
import { openPushCache, type PushCache } from '../fixtures/push-cache.ts'

let nix: NixFixture
let scratch: ScratchStore
let closure: BuiltClosure
let local: LocalStore
let store: TestPublishedStore
let cache: TestCache
/** Versions of one thing: a delta would start from the denied one. */
let denied: string
let tool: string
let target: string

const absentHash = '0'.repeat(32)
const narHashOf = (path: string) => local.find(hashPartOf(path))!.info.narHash.slice('sha256:'.length)

beforeAll(async () => {
  nix = await openNixFixture()
  scratch = await nix.openStore()
  closure = await scratch.buildClosure()
  denied = await scratch.addFile('tool-1.0-denied', Buffer.alloc(100_000, 'one'))
  tool = await scratch.addFile('tool-1.1', Buffer.alloc(100_000, 'two'))
  target = await scratch.addFile('tool-1.2', Buffer.alloc(100_000, 'three'))
  local = await openLocalStore({
    ...scratch,
    daemonSocket: undefined,
    leases: { narInfoSeconds: 0, maxPaths: 1 },
    log: silentLog,
  })
  store = await openPublished(local, scratch, { ...everything, deny: ['lib-*', '*-denied'] })
  cache = await openTestCache(scratch, { stores: [store] })
})

afterAll(async () => {
  await cache[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  await local[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

/** All that a client sees, but for the time and what it has sent itself. */
function seen({ status, rawHeaders, body, isComplete }: Answer, hashPart: string) {
  const headers = rawHeaders.filter((_, at) => rawHeaders[at - (at % 2)] !== 'Date')
  return { status, headers, body: body.toString('latin1').replaceAll(hashPart, 'HASH'), isComplete }
}

const forms: readonly [string, (hashPart: string, narHash: string, name: string) => string, object?][] = [
  ['narinfo', (hashPart) => `/${hashPart}.narinfo`],
  ['narinfo as JSON', (hashPart) => `/${hashPart}.narinfo?json`],
  ['HEAD of a narinfo', (hashPart) => `/${hashPart}.narinfo`, { method: 'HEAD' }],
  ['NAR', (hashPart, narHash) => `/nar/${hashPart}-${narHash}.nar`],
  ['HEAD of a NAR', (hashPart, narHash) => `/nar/${hashPart}-${narHash}.nar`, { method: 'HEAD' }],
  ['range of a NAR', (hashPart, narHash) => `/nar/${hashPart}-${narHash}.nar`, { headers: { range: 'bytes=1-2' } }],
  [
    'NAR that the client has',
    (hashPart, narHash) => `/nar/${hashPart}-${narHash}.nar`,
    { headers: { 'if-none-match': '*' } },
  ],
  ['compressed NAR', (hashPart, narHash) => `/nar/${hashPart}-${narHash}.zstd-3-${process.versions.zstd!}.nar`],
  ['NAR of an older recipe', (hashPart, narHash) => `/nar/${hashPart}-${narHash}.zstd-9-1.0.nar`],
  ['stored NAR', (hashPart, narHash) => `/nar/${hashPart}-${narHash}.file-${narHash}.nar`],
  ['NAR without a hash', (hashPart) => `/nar/${hashPart}.nar`],
  ['page', (hashPart) => `/path/${hashPart}`],
  ['page of its files', (hashPart) => `/path/${hashPart}/files`],
  ['listing', (hashPart) => `/${hashPart}.ls`],
  ['log', (hashPart, _, name) => `/log/${hashPart}-${name}`],
  ['log of a derivation', (hashPart, _, name) => `/log/${hashPart}-${name}.drv`],
]

describe('every address', () => {
  test.each(forms)('%s', async (_what, toUrl, options = {}) => {
    for (const path of [closure.lib, closure.app, closure.appDev, closure.appDrv, denied]) {
      const hashPart = hashPartOf(path)
      const name = basename(path).slice(33)
      const there = await cache.get(toUrl(hashPart, narHashOf(path), name), options)
      const absent = await cache.get(toUrl(absentHash, narHashOf(path), name), options)
      expect(there.status).toBe(404)
      expect(seen(there, hashPart)).toEqual(seen(absent, absentHash))
    }
  })

  test('each of them answers for a published path', async () => {
    const statuses = await Promise.all(
      forms.map(async ([what, toUrl, options]) => [
        what,
        (await cache.get(toUrl(hashPartOf(closure.base), narHashOf(closure.base), 'base-1.0'), options)).status,
      ]),
    )
    expect(Object.fromEntries(statuses)).toMatchObject({
      narinfo: 200,
      NAR: 200,
      'HEAD of a NAR': 200,
      'range of a NAR': 206,
      'NAR that the client has': 304,
      'compressed NAR': 200,
      'NAR of an older recipe': 200,
      'NAR without a hash': 200,
      listing: 200,
      page: 200,
      'page of its files': 200,
    })
  })
})

describe('pages', () => {
  /** The index may be read for the first time. */
  const read = async (url: string) => {
    for (;;) {
      const text = (await cache.get(url)).body.toString()
      if (text.includes(basename(tool).slice(33)) || !url.includes('tool')) return text
    }
  }

  test('a search finds it neither by its name nor by its hash part, and what is new does not show it', async () => {
    const found = await read('/search?q=tool&part=results')
    expect(found).toContain(hashPartOf(tool))
    expect(found).not.toContain('denied')
    for (const url of ['/search?q=denied&part=results', `/search?q=${hashPartOf(denied)}&part=results`, '/'])
      expect(await read(url)).not.toContain(`/path/${hashPartOf(denied)}`)
    expect(await read('/')).not.toContain('denied')
  })

  test('the page of a path that it refers to does not show it', async () => {
    const page = await read(`/path/${hashPartOf(closure.base)}`)
    expect(page).toContain('base-1.0')
    expect(page).not.toContain('lib-1.0')
    expect(page).not.toContain(hashPartOf(closure.lib))
  })
})

describe('closures and deltas', () => {
  const ask = async (roots: readonly string[]) => {
    const reply = await fetch(`${cache.url}/v1/closure`, {
      method: 'POST',
      headers: { authorization: benAuthorization, 'accept-encoding': 'identity' },
      body: JSON.stringify({ roots: roots.map(hashPartOf), bases: true }),
    })
    return (await reply.text())
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as ClosureLine)
  }

  test('a closure says absent, and brings nothing that lies below', async () => {
    expect(await ask([closure.app])).toEqual([{ absent: hashPartOf(closure.app) }, { end: { isWhole: true } }])
    const lines = await ask([closure.base])
    const paths = lines.flatMap((line) => ('narInfo' in line ? [parseNarInfo(line.narInfo)!.storePath] : []))
    expect(paths.sort()).toEqual([closure.base, closure.text].sort())
  })

  test('an unpublished path is no base', async () => {
    const [line] = await ask([target])
    expect(line !== undefined && 'narInfo' in line && line.bases?.map(({ hashPart }) => hashPart)).toEqual([
      hashPartOf(tool),
    ])
  })

  const deltaUrl = (from: string, fromNarHash: string, to = target) => {
    const recipe = `delta-1-${process.versions.zstd!}`
    return `/nar/${hashPartOf(to)}-${narHashOf(to)}.${recipe}-${from}-${fromNarHash}.nar`
  }

  test('no delta is made from one, nor given that was made while it was published', async () => {
    const [line] = await ask([target])
    const known = line !== undefined && 'narInfo' in line ? line.bases![0]!.url : ''
    const fromDenied = `/${known.replace(`${hashPartOf(tool)}-${narHashOf(tool)}`, `${hashPartOf(denied)}-${narHashOf(denied)}`)}`
    const fromAbsent = fromDenied.replace(hashPartOf(denied), absentHash)
    const larder = { dir: join(await nix.makeDir('larder'), 'larder'), maxBytes: 2 ** 30 }
    {
      // Everything is published. The first answer may come before the delta is made.
      await using open = await openTestCache(scratch, { larder })
      while ((await open.get(fromDenied)).status !== 200);
    }
    {
      await using closed = await openTestCache(scratch, { larder, stores: [store] })
      expect((await closed.get(fromDenied)).status).toBe(404)
      expect((await closed.get(fromDenied, { headers: { range: 'bytes=0-1' } })).status).toBe(404)
    }
    const there = await cache.get(fromDenied)
    expect(there.status).toBe(404)
    expect(seen(there, hashPartOf(denied))).toEqual(seen(await cache.get(fromAbsent), absentHash))
    expect((await cache.get(fromDenied, { method: 'HEAD' })).status).toBe(404)
    expect((await cache.get(deltaUrl(hashPartOf(tool), narHashOf(tool), denied))).status).toBe(404)
  })
})

describe('pushes', () => {
  let pushes: PushCache

  beforeAll(async () => {
    pushes = await openPushCache(nix, { local: scratch, publish: { ...everything, deny: ['lib-*', '*-denied'] } })
  })
  afterAll(async () => {
    await pushes[Symbol.asyncDispose]()
  })

  const post = async (path: string, body: unknown) => {
    const reply = await fetch(`${pushes.url}${path}`, {
      method: 'POST',
      headers: { authorization: basic('ci', 'secret'), 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { status: reply.status, text: await reply.text() }
  }
  const describePath = (path: string) => {
    const { storePath, narHash, narSize, references } = local.find(hashPartOf(path))!.info
    return { storePath, narHash, narSize, references, signatures: [] }
  }

  test('a plan treats it as a path that is not here, whatever its contents are said to be', async () => {
    const own = describePath(denied)
    for (const path of [own, { ...own, narHash: `sha256:${'1'.repeat(52)}` }]) {
      const absent = { ...path, storePath: `/nix/store/${absentHash}-tool-1.0-denied` }
      const [there, elsewhere] = [
        await post('/v1/push/plan', { partBytes: 2 ** 20, paths: [path] }),
        await post('/v1/push/plan', { partBytes: 2 ** 20, paths: [absent] }),
      ]
      expect(there.text.replaceAll(hashPartOf(denied), absentHash)).toBe(elsewhere.text)
      expect(JSON.parse(there.text)).toMatchObject({ paths: [{ status: 'upload' }] })
    }
    const published = await post('/v1/push/plan', { partBytes: 2 ** 20, paths: [describePath(tool)] })
    expect(JSON.parse(published.text)).toMatchObject({ paths: [{ status: 'have-nar' }] })
  })

  test('who pushes a path that refers to it does not bring it into the depot', async () => {
    const nar = await scratch.dump(closure.text)
    const fileHash = encodeNix32(createHash('sha256').update(nar).digest())
    const { narHash, narSize } = describePath(closure.text)
    const put = (path: string, body: string | Uint8Array<ArrayBuffer>) =>
      fetch(`${pushes.url}/${path}`, { method: 'PUT', headers: { authorization: basic('ci', 'secret') }, body })
    expect((await put(`nar/${fileHash}.nar`, new Uint8Array(nar))).status).toBe(201)
    const register = async (hashPart: string, reference: string) => {
      const lines = [
        `StorePath: /nix/store/${hashPart}-pushed`,
        `URL: nar/${fileHash}.nar`,
        'Compression: none',
        `NarHash: ${narHash}`,
        `NarSize: ${narSize}`,
        `References: ${reference}`,
      ]
      const reply = await put(`${hashPart}.narinfo`, `${lines.join('\n')}\n`)
      return { status: reply.status, text: await reply.text() }
    }
    const toDenied = await register('1'.repeat(32), basename(denied))
    const toAbsent = await register('1'.repeat(32), `${absentHash}-tool-1.0-denied`)
    expect(toDenied.status).toBe(toAbsent.status)
    expect(toDenied.status).toBeGreaterThanOrEqual(400)
    expect(toDenied.text.replaceAll(hashPartOf(denied), absentHash)).toBe(toAbsent.text)
    expect((await pushes.cache.get(`/${hashPartOf(denied)}.narinfo`)).status).toBe(404)
    // What is published is adopted, as ever.
    expect((await register('2'.repeat(32), basename(tool))).status).toBe(201)
  })

  test('pushed with its contents it is served, since the policy is for the local store', async () => {
    const netrc = await nix.writeNetrc([{ login: 'ci', password: 'secret' }])
    await nix.run('nix', ['copy', '--from', scratch.root, '--to', pushes.url, '--option', 'netrc-file', netrc, denied])
    expect((await pushes.cache.get(`/${hashPartOf(denied)}.narinfo`)).status).toBe(200)
    expect(store.find(hashPartOf(denied))).toBeUndefined()
  })
})
