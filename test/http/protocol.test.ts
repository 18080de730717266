/** The protocol as a client sees it: the real cache on a real store, alone and with other stores beside it. */
import type { RequestOptions } from 'node:http'
import { basename } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { zstdDecompressSync } from 'node:zlib'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { generateSecretKey, parseNarInfo } from '../../src/index.ts'
import { ben, openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

const hashPartOf = (path: string) => path.slice('/nix/store/'.length, '/nix/store/'.length + 32)

describe.each([
  ['the Nix store alone', []],
  ['a folder after the Nix store', ['after']],
  ['a folder before the Nix store', ['before']],
] as const)('%s', (_what, [folder]) => {
  let nix: NixFixture
  let store: ScratchStore
  let closure: BuiltClosure
  let cache: TestCache
  let plainCache: TestCache
  const key = generateSecretKey('test-1')
  const secondKey = generateSecretKey('test-2')

  beforeAll(async () => {
    nix = await openNixFixture()
    store = await nix.openStore()
    closure = await store.buildClosure()
    cache = await openTestCache(store, { folder, signing: [key, secondKey] })
    plainCache = await openTestCache(store, { folder, compression: { type: 'none' } })
  })

  afterAll(async () => {
    await cache[Symbol.asyncDispose]()
    await plainCache[Symbol.asyncDispose]()
    await nix[Symbol.asyncDispose]()
  })

  const narInfoOf = async (from: TestCache, path: string) => {
    const { body } = await from.get(`/${hashPartOf(path)}.narinfo`)
    return parseNarInfo(body.toString())!
  }

  describe('/nix-cache-info', () => {
    test('names store directory, mass query and priority', async () => {
      const { status, headers, body } = await cache.get('/nix-cache-info')
      expect(status).toBe(200)
      expect(headers['content-type']).toBe('text/x-nix-cache-info')
      expect(body.toString()).toBe('StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n')
    })
  })

  describe('a narinfo', () => {
    test('tells what the store knows, signed by every key beside the signatures it has', async () => {
      const key3 = await nix.generateKey('theirs-1')
      await store.sign(key3.secretFile, [closure.lib])
      const { status, headers, body } = await cache.get(`/${hashPartOf(closure.lib)}.narinfo`)
      const info = await store.pathInfo(closure.lib)
      expect(status).toBe(200)
      expect(headers['content-type']).toBe('text/x-nix-narinfo')
      const text = body.toString()
      expect(text).toMatch(
        /^StorePath: .*\nURL: nar\/[0-9a-z.-]+\.nar\nCompression: zstd\n(FileHash: .*\nFileSize: \d+\n)?NarHash: sha256:.*\nNarSize: \d+\nReferences: .*\nDeriver: .*\nSystem: .*\nSig: /,
      )
      const parsed = parseNarInfo(text)!
      expect(parsed.storePath).toBe(closure.lib)
      expect(parsed.narSize).toBe(info.narSize)
      expect(parsed.signatures.map((signature) => signature.split(':')[0])).toEqual(['theirs-1', 'test-1', 'test-2'])
      expect(headers['nix-link']).toBe(parsed.url)
    })

    test('is marked as private, never transformed, never kept at the edge', async () => {
      const { headers } = await cache.get(`/${hashPartOf(closure.app)}.narinfo`)
      expect(headers['cache-control']).toBe('private, no-transform')
      expect(headers['cdn-cache-control']).toBe('no-store')
      expect(headers['cloudflare-cdn-cache-control']).toBe('no-store')
      expect(headers['content-encoding']).toBeUndefined()
      expect(headers.date).toMatch(/GMT$/)
    })

    test('has a last line break, and a space behind References when there are none', async () => {
      const { body } = await cache.get(`/${hashPartOf(closure.text)}.narinfo`)
      expect(body.toString()).toContain('\nReferences: \n')
      expect(body.toString()).toMatch(/\nCA: text:sha256:[0-9a-z]{52}\n$/)
    })

    test('by HEAD has the same headers and no body', async () => {
      const path = `/${hashPartOf(closure.app)}.narinfo`
      const [get, head] = [await cache.get(path), await cache.get(path, { method: 'HEAD' })]
      expect(head.status).toBe(200)
      expect(head.body.length).toBe(0)
      expect(head.headers['content-length']).toBe(get.headers['content-length'])
      expect(head.headers['content-type']).toBe(get.headers['content-type'])
      expect(head.headers['cache-control']).toBe(get.headers['cache-control'])
    })

    test('comes as JSON for ?json, and as text for any other query or percent-encoding', async () => {
      const hash = hashPartOf(closure.app)
      const json = await cache.get(`/${hash}.narinfo?json`)
      expect(json.headers['content-type']).toBe('application/json')
      expect(JSON.parse(json.body.toString())).toMatchObject({ path: closure.app })
      const plain = await cache.get(`/${hash}.narinfo`)
      for (const path of [`/${hash}.narinfo?x=1`, `/%${hash.charCodeAt(0).toString(16)}${hash.slice(1)}.narinfo`]) {
        expect((await cache.get(path)).body.equals(plain.body)).toBe(true)
      }
    })

    test('of what is not here is a 404 that nobody may keep', async () => {
      const { status, headers, body } = await cache.get('/00000000000000000000000000000000.narinfo')
      expect(status).toBe(404)
      expect(headers['cache-control']).toBe('no-store')
      expect(body.toString()).toBe('Not Found\n')
    })

    test('knows the compressed size once the NAR was compressed', async () => {
      const before = await narInfoOf(cache, closure.base)
      const { body } = await cache.get(`/${before.url}`)
      const after = await narInfoOf(cache, closure.base)
      expect(after.fileSize).toBe(body.length)
      expect(after.fileHash).toMatch(/^sha256:/)
      expect(after.url).toBe(before.url)
    })

    test('of a path added a moment ago is there in the next request, and of one deleted is not', async () => {
      const path = await store.addFile('fleeting', `${Math.random()}`)
      const url = `/${hashPartOf(path)}.narinfo`
      expect((await cache.get(url)).status).toBe(200)
      await store.deletePath(path)
      expect((await cache.get(url)).status).toBe(404)
    })
  })

  describe('a NAR', () => {
    test('uncompressed is what nix-store --dump writes, with its exact length and entity tag', async () => {
      const { url } = await narInfoOf(plainCache, closure.lib)
      const { status, headers, body } = await plainCache.get(`/${url}`)
      expect(status).toBe(200)
      expect(body.equals(await store.dump(closure.lib))).toBe(true)
      expect(headers['content-type']).toBe('application/x-nix-nar')
      expect(Number(headers['content-length'])).toBe(body.length)
      expect(headers['accept-ranges']).toBe('bytes')
      expect(headers['content-encoding']).toBeUndefined()
      expect(headers['cache-control']).toBe('private, no-transform')
    })

    test('that an older, uncompressed narinfo names is served by a compressing cache too', async () => {
      const { url } = await narInfoOf(plainCache, closure.lib)
      expect((await cache.get(`/${url}`)).body.equals(await store.dump(closure.lib))).toBe(true)
    })

    test('that a narinfo of another level or of a compressing cache names is served, but not to be resumed', async () => {
      const { url } = await narInfoOf(cache, closure.lib)
      for (const [from, path] of [
        [plainCache, `/${url}`],
        [cache, `/${url.replace(/zstd-\d+-/, 'zstd-9-')}`],
      ] as const) {
        const { status, headers, body } = await from.get(path)
        expect(status).toBe(200)
        expect(headers['accept-ranges']).toBeUndefined()
        const raw = zstdDecompressSync(body)
        expect(raw.equals(await store.dump(closure.lib))).toBe(true)
      }
    })

    test('under a URL that names another hash is a 404', async () => {
      const { url } = await narInfoOf(plainCache, closure.lib)
      const other = await narInfoOf(plainCache, closure.base)
      const wrong = `/nar/${hashPartOf(closure.lib)}-${other.narHash.slice('sha256:'.length)}.nar`
      expect(wrong).not.toBe(`/${url}`)
      expect((await plainCache.get(wrong)).status).toBe(404)
    })

    test.each(['uncompressed', 'compressed'])('%s answers ranges, conditions and HEAD', async (form) => {
      const from = form === 'compressed' ? cache : plainCache
      const { url } = await narInfoOf(from, closure.app)
      const whole = await from.get(`/${url}`)
      const etag = whole.headers.etag!
      const size = whole.body.length
      const range = (value: string, headers = {}) => from.get(`/${url}`, { headers: { range: value, ...headers } })

      const middle = await range('bytes=10-29')
      expect(middle.status).toBe(206)
      expect(middle.headers['content-range']).toBe(`bytes 10-29/${size}`)
      expect(middle.headers['content-length']).toBe('20')
      expect(middle.body.equals(whole.body.subarray(10, 30))).toBe(true)
      const tail = await range('bytes=40-')
      expect(tail.headers['content-range']).toBe(`bytes 40-${size - 1}/${size}`)
      expect(tail.body.equals(whole.body.subarray(40))).toBe(true)
      expect((await range('bytes=-7')).body.equals(whole.body.subarray(-7))).toBe(true)

      const beyond = await range(`bytes=${size}-`)
      expect(beyond.status).toBe(416)
      expect(beyond.headers['content-range']).toBe(`bytes */${size}`)
      expect((await range('bytes=0-1,3-4')).status).toBe(200)
      expect((await range('bytes=0-1', { 'if-range': etag })).status).toBe(206)
      expect((await range('bytes=0-1', { 'if-range': '"other"' })).status).toBe(200)

      const unchanged = await from.get(`/${url}`, { headers: { 'if-none-match': etag } })
      expect(unchanged.status).toBe(304)
      expect(unchanged.body.length).toBe(0)
      expect((await from.get(`/${url}`, { headers: { 'if-match': '"other"' } })).status).toBe(412)

      const head = await from.get(`/${url}`, { method: 'HEAD', headers: { range: 'bytes=0-1' } })
      expect(head.status).toBe(200)
      expect(head.headers['content-length']).toBe(String(size))
      expect(head.headers.etag).toBe(etag)
      expect(head.body.length).toBe(0)
    })

    test('by HEAD, compressed by nobody yet, compresses nothing', async () => {
      await using fresh = await openTestCache(store, { folder })
      const { url } = await narInfoOf(fresh, closure.app)
      const { status, headers } = await fresh.get(`/${url}`, { method: 'HEAD' })
      expect(status).toBe(200)
      expect(headers['content-length']).toBeUndefined()
      expect(fresh.cache.stats.larder).toMatchObject({ fills: 0, fillsUnderWay: 0, files: 0 })
    })

    test('can be resumed before anybody fetched it whole: the range waits for the compression', async () => {
      const path = await store.addFile('resumed-first', Buffer.alloc(300_000, 'some text to compress '))
      const { url } = await narInfoOf(cache, path)
      const tail = await cache.get(`/${url}`, { headers: { range: 'bytes=5-' } })
      expect(tail.status).toBe(206)
      const whole = await cache.get(`/${url}`)
      expect(tail.body.equals(whole.body.subarray(5))).toBe(true)
    })
  })

  describe('other routes', () => {
    test('a listing has the offsets of the NAR', async () => {
      const { status, body, headers } = await cache.get(`/${hashPartOf(closure.lib)}.ls`)
      expect(status).toBe(200)
      expect(headers['content-type']).toBe('application/json')
      const listing = JSON.parse(body.toString())
      expect(listing.version).toBe(1)
      const { narOffset, size } = listing.root.entries.conf
      const nar = await store.dump(closure.lib)
      expect(nar.subarray(narOffset, narOffset + size).toString()).toContain('base=')
    })

    test('a build log is plain text, by the whole name or what a client leaves of it', async () => {
      const drv = closure.appDrv.slice('/nix/store/'.length)
      const log = await cache.get(`/log/${drv}`)
      expect(log.status).toBe(200)
      expect(log.headers['content-type']).toBe('text/plain; charset=utf-8')
      expect(log.body.toString()).toContain('building app')
      const head = await cache.get(`/log/${drv}`, { method: 'HEAD' })
      expect(head.status).toBe(200)
      expect(head.body.length).toBe(0)
      expect((await cache.get('/log/00000000000000000000000000000000-absent.drv')).status).toBe(404)
    })

    test('a realisation is told as the store knows it', async () => {
      const [depId, topId] = [`sha256:${'b'.repeat(64)}!lib`, `sha256:${'a'.repeat(64)}!out`]
      expect((await cache.get(`/realisations/${topId}.doi`)).status).toBe(404)
      const idOf = (path: string) => `(select id from ValidPaths where path = '${path}')`
      const database = new DatabaseSync(store.database)
      // As Nix makes them when the feature is first used.
      database.exec(`
        create table if not exists Realisations (id integer primary key autoincrement not null, drvPath text not null, outputName text not null,
          outputPath integer not null, signatures text, foreign key (outputPath) references ValidPaths(id) on delete cascade);
        create table if not exists RealisationsRefs (referrer integer not null, realisationReference integer);
        insert into Realisations values (1, 'sha256:${'a'.repeat(64)}', 'out', ${idOf(closure.app)}, null);
        insert into Realisations values (2, 'sha256:${'b'.repeat(64)}', 'lib', ${idOf(closure.lib)}, null);
        insert into RealisationsRefs values (1, 2);`)
      database.close()
      for (const method of ['GET', 'HEAD']) {
        const { status, headers, body } = await cache.get(`/realisations/${encodeURIComponent(topId)}.doi`, { method })
        expect(status).toBe(200)
        expect(headers['content-type']).toBe('application/json')
        expect(headers['cache-control']).toBe('private, no-transform')
        if (method === 'HEAD') continue
        expect(headers['content-length']).toBe(String(body.length))
        expect(JSON.parse(body.toString())).toEqual({
          dependentRealisations: { [depId]: basename(closure.lib) },
          id: topId,
          outPath: basename(closure.app),
          signatures: [],
        })
      }
    })

    test.each<[string, RequestOptions]>([
      ['/nix-cache-info', {}],
      ['/', {}],
      ['/v1/version', {}],
      ['/v1/public-key', {}],
      ['narinfo', {}],
      ['narinfo?json', {}],
      ['ls', {}],
      ['log', {}],
      ['/absent', {}],
      ['/%zz', {}],
      ['/absent', { headers: { authorization: undefined } }],
      ['/absent', { method: 'POST' }],
      ['nar', { headers: { range: 'bytes=1000000000-' } }],
      ['nar', { headers: { 'if-match': '"other"' } }],
    ])('%s %j has its exact length, so that the connector need not send it in pieces', async (what, options) => {
      const paths: Record<string, string> = {
        narinfo: `/${hashPartOf(closure.lib)}.narinfo`,
        'narinfo?json': `/${hashPartOf(closure.lib)}.narinfo?json`,
        ls: `/${hashPartOf(closure.lib)}.ls`,
        log: `/log/${basename(closure.appDrv)}`,
        nar: `/${(await narInfoOf(plainCache, closure.lib)).url}`,
      }
      const path = paths[what] ?? what
      const { headers, body } = await cache.get(path, options)
      expect(headers['content-length']).toBe(String(body.length))
      expect(headers['transfer-encoding']).toBeUndefined()
      if (options.method !== undefined) return
      expect((await cache.get(path, { ...options, method: 'HEAD' })).headers['content-length']).toBeDefined()
    })

    test('version and public keys are lines of text', async () => {
      expect((await cache.get('/v1/version')).body.toString()).toBe('0.0.0-test\n')
      expect((await cache.get('/v1/public-key')).body.toString()).toBe(`${key.publicKey}\n${secondKey.publicKey}\n`)
    })

    test('the index page says how to use the cache and may load nothing', async () => {
      const { status, headers, body } = await cache.get('/')
      expect(status).toBe(200)
      expect(headers['content-security-policy']).toContain("default-src 'none'")
      expect(body.toString()).toContain(key.publicKey)
    })

    test('the index page names the address it was asked at, as the edge tells it', async () => {
      const { body } = await cache.get('/', { headers: { host: 'cache.example.com', 'x-forwarded-proto': 'https' } })
      expect(body.toString()).toContain('extra-substituters = https://cache.example.com')
      expect(body.toString()).toContain('machine cache.example.com login')
    })

    test.each(['/x', '/nar/', '/nar/x.nar', '/v1', '/v1/version/', '/favicon.ico', '/robots.txt', '/nix-cache-info/x'])(
      '%s is a 404 in plain text',
      async (path) => {
        const { status, headers, body } = await cache.get(path)
        expect(status).toBe(404)
        expect(headers['content-type']).toBe('text/plain; charset=utf-8')
        expect(body.toString()).toBe('Not Found\n')
      },
    )

    test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])(
      '%s is refused with the methods allowed',
      async (method) => {
        for (const path of ['/nix-cache-info', `/${hashPartOf(closure.app)}.narinfo`, '/nar/x.nar', '/']) {
          const { status, headers } = await cache.get(path, { method })
          expect(status).toBe(405)
          expect(headers.allow).toBe('GET, HEAD')
        }
      },
    )
  })

  describe('credentials', () => {
    const paths = () => [
      '/',
      '/nix-cache-info',
      `/${hashPartOf(closure.app)}.narinfo`,
      '/00000000000000000000000000000000.narinfo',
      '/nar/x.nar',
      '/v1/version',
      '/absent',
      '/%zz',
    ]

    test('are asked for on every route, with the same words for what is here and what is not', async () => {
      const answers = await Promise.all(
        paths().map((path) => cache.get(path, { headers: { authorization: undefined } })),
      )
      for (const { status, headers, body } of answers) {
        expect(status).toBe(401)
        expect(headers['www-authenticate']).toBe('Basic realm="burrow", charset="UTF-8"')
        expect(headers['cache-control']).toBe('no-store')
        expect(body.toString()).toBe('Unauthorized\n')
      }
      const shapes = answers.map(({ rawHeaders }) => rawHeaders.filter((_, at) => at % 2 === 0).join())
      expect(new Set(shapes).size).toBe(1)
    })

    test('that may not pull are refused with 403', async () => {
      await using other = await openTestCache(store, { folder, users: [{ ...ben, access: new Set(['push']) }] })
      for (const path of paths().slice(0, 4)) expect((await other.get(path)).status).toBe(403)
    })

    test('are taken back at once when users are replaced, while a public cache asks nobody', async () => {
      await using other = await openTestCache(store, { folder })
      expect((await other.get('/nix-cache-info')).status).toBe(200)
      other.cache.reload({ users: [], signing: [], indexPage: undefined })
      expect((await other.get('/nix-cache-info')).status).toBe(401)
      other.cache.reload({ users: undefined, signing: [], indexPage: undefined })
      const { status, headers } = await other.get('/nix-cache-info', { headers: { authorization: undefined } })
      expect(status).toBe(200)
      expect(headers['cache-control']).toContain('public')
      expect(headers['cdn-cache-control']).toBe('no-store')
    })
  })

  test('an exchange is reported with user, ray, address, bytes and whether it was complete', async () => {
    const path = `/${hashPartOf(closure.app)}.narinfo`
    const reported = cache.exchange(({ ray }) => ray === 'abc-LHR')
    const { body } = await cache.get(path, { headers: { 'cf-ray': 'abc-LHR', 'cf-connecting-ip': '198.51.100.7' } })
    expect(await reported).toMatchObject({
      route: 'narinfo',
      status: 200,
      user: 'ben',
      address: '198.51.100.7',
      bytes: body.length,
      isComplete: true,
      target: path,
    })
  })
})
