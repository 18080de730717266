/**
 * Stock Nix pushes: `nix copy --to` with its options, read back with signatures required; and what a user sees when it
 * may not, conflicts, or is too big.
 */
import { randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { generateSecretKey, parseNarInfo } from '../../../src/index.ts'
import { basic } from '../../fixtures/cache.ts'
import { hasNewerNix, runNewerNix, sayThatItIsSkipped } from '../../fixtures/newer-nix.ts'
import {
  type BuiltClosure,
  type NixFixture,
  openNixFixture,
  type RunResult,
  type ScratchStore,
} from '../../fixtures/nix.ts'
import { as, openPushCache, type PushCache } from '../../fixtures/push-cache.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let big: string
const key = generateSecretKey('cache-1')
const hashPartOf = (path: string) => path.slice('/nix/store/'.length, '/nix/store/'.length + 32)

beforeAll(async () => {
  nix = await openNixFixture({ features: ['ca-derivations'] })
  store = await nix.openStore()
  closure = await store.buildClosure()
  big = await store.addFile('big', Buffer.concat([randomBytes(2_000_000), Buffer.alloc(4_000_000, 'text ')]))
})

afterAll(() => nix[Symbol.asyncDispose]())

async function push(login: string, url: string, paths: readonly string[], from = store): Promise<RunResult> {
  const { args, env } = await as(nix, login)
  return await nix.run('nix', ['copy', '--no-check-sigs', '--from', from.root, '--to', url, ...args, ...paths], {
    env,
    allowFailure: true,
  })
}

async function pull(
  cache: PushCache,
  login: string,
  paths: readonly string[],
  trusted = key.publicKey,
): Promise<ScratchStore> {
  const to = await nix.openStore()
  const { args, env } = await as(nix, login)
  await nix.run(
    'nix',
    ['copy', '--from', cache.url, '--to', to.root, '--option', 'trusted-public-keys', trusted, ...args, ...paths],
    { env },
  )
  return to
}

const narInfoOf = async (cache: PushCache, path: string) =>
  parseNarInfo(
    (
      await cache.cache.get(`/${hashPartOf(path)}.narinfo`, { headers: { authorization: basic('ci', 'secret') } })
    ).body.toString(),
  )

describe.each(['none', 'zstd', 'xz', 'br', 'gzip', 'bzip2'])('nix copy --to …?compression=%s', (compression) => {
  test('is kept as it came, signed by the cache, and copied by others with signatures required', async () => {
    await using cache = await openPushCache(nix, { signing: [key] })
    expect(await push('ci', `${cache.url}?compression=${compression}`, [closure.app, big])).toMatchObject({ code: 0 })
    expect((await narInfoOf(cache, big))!.compression).toBe(compression)
    const to = await pull(cache, 'ben', [closure.app, big])
    for (const path of [closure.app, big]) expect((await to.dump(path)).equals(await store.dump(path))).toBe(true)
    // Again, by a client that remembers nothing: nothing is sent twice.
    const before = cache.cache.exchanges.length
    await push('ci', `${cache.url}?compression=${compression}`, [closure.app, big])
    expect(
      cache.cache.exchanges
        .slice(before)
        .filter(({ method }) => method === 'PUT')
        .map(({ target }) => target),
    ).toEqual([])
  })
})

describe('options of nix copy', () => {
  test.each([
    'write-nar-listing=true',
    'index-debug-info=true',
    'parallel-compression=true',
    'compression-level=9',
    'want-mass-query=true',
  ])('%s', async (option) => {
    await using cache = await openPushCache(nix, { signing: [key] })
    expect(await push('ci', `${cache.url}?compression=zstd&${option}`, [closure.app])).toMatchObject({ code: 0 })
    const to = await pull(cache, 'ben', [closure.app])
    expect((await to.dump(closure.app)).equals(await store.dump(closure.app))).toBe(true)
    const listing = await cache.cache.get(`/${hashPartOf(closure.app)}.ls`, {
      headers: { authorization: basic('ci', 'secret') },
    })
    expect(JSON.parse(listing.body.toString())).toMatchObject({ version: 1 })
  })

  test("secret-key: the pusher's signature is kept beside ours, and one more is added later", async () => {
    await using cache = await openPushCache(nix, { signing: [key] })
    const [one, two] = [await nix.generateKey('pusher-1'), await nix.generateKey('pusher-2')]
    await push('ci', `${cache.url}?secret-key=${one.secretFile}`, [closure.lib])
    await pull(cache, 'ben', [closure.lib], one.publicKey)
    const { args, env } = await as(nix, 'ci')
    await nix.run('nix', ['store', 'sign', '--store', cache.url, '-k', two.secretFile, ...args, closure.lib], { env })
    expect(
      (await narInfoOf(cache, closure.lib))!.signatures.map((signature) => signature.split(':')[0]).sort(),
    ).toEqual(['cache-1', 'pusher-1', 'pusher-2'])
  })

  test('a content-addressed derivation is pushed with its realisation', async () => {
    const file = await store.writeFile(
      'ca.nix',
      `derivation { name = "ca"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo content > $out" ]; PATH = "/bin:/usr/bin"; __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; }`,
    )
    const [out] = (await store.runInside('nix-build', ['--no-out-link', file])).stdout.trim().split('\n')
    await using cache = await openPushCache(nix, { signing: [key] })
    const { args, env } = await as(nix, 'ci')
    const result = await nix.run(
      'nix',
      ['copy', '--no-check-sigs', '--from', store.root, '--to', cache.url, ...args, out!],
      { env, allowFailure: true },
    )
    expect(result).toMatchObject({ code: 0 })
    const to = await pull(cache, 'ben', [out!])
    expect((await to.dump(out!)).equals(await store.dump(out!))).toBe(true)
  })

  test('nix store copy-log puts a build log that others can read', async () => {
    await using cache = await openPushCache(nix, { signing: [key] })
    const { args, env } = await as(nix, 'ci')
    await nix.run('nix', ['store', 'copy-log', '--from', store.root, '--to', cache.url, ...args, closure.appDrv], {
      env,
    })
    const log = await cache.cache.get(`/log/${closure.appDrv.slice('/nix/store/'.length)}`, {
      headers: { authorization: basic('ben', 'secret') },
    })
    expect(log.body.toString()).toContain('building app')
  })
})

describe('who may do what', () => {
  test.each([
    ['without a netrc entry', 'nobody', /401|does not appear to be a binary cache/],
    ['who may pull alone', 'ben', /User ben may pull, not push/],
  ] as const)('a user %s sees why, and leaves nothing behind', async (_what, login, pattern) => {
    await using cache = await openPushCache(nix, { signing: [key] })
    const { code, stderr } = await push(login, cache.url, [closure.app])
    expect(code).not.toBe(0)
    expect(stderr).toMatch(pattern)
    expect(cache.depot.figures()).toMatchObject({ objects: 0, nars: 0 })
    expect(readdirSync(join(cache.dir, 'in'))).toEqual([])
  })

  test('a user who may push alone can push, and read no NAR, listing or log', async () => {
    await using cache = await openPushCache(nix, { signing: [key] })
    expect(await push('bot', cache.url, [closure.app])).toMatchObject({ code: 0 })
    const headers = { authorization: basic('bot', 'secret') }
    const { url } = (await narInfoOf(cache, closure.lib))!
    for (const path of [`/${url}`, `/${hashPartOf(closure.lib)}.ls`, `/log/${closure.appDrv.slice(11)}`, '/']) {
      expect([path, (await cache.cache.get(path, { headers })).status]).toEqual([path, 403])
    }
    expect((await cache.cache.get(`/${url}`, { method: 'HEAD', headers })).status).toBe(200)
  })

  test('a revoked user is out with the next request', async () => {
    await using cache = await openPushCache(nix)
    cache.cache.cache.reload({ signing: [], users: [], indexPage: undefined })
    expect((await push('ci', cache.url, [closure.text])).code).not.toBe(0)
  })

  test('with requireSignatures a path needs one of those keys', async () => {
    const trusted = await nix.generateKey('trusted-1')
    await using cache = await openPushCache(nix, { policy: { requireSignatures: [trusted.publicKey] } })
    const refused = await push('ci', cache.url, [closure.app])
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toMatch(/signature/)
    expect(await push('ci', `${cache.url}?secret-key=${trusted.secretFile}`, [closure.app])).toMatchObject({ code: 0 })
  })
})

describe('what is refused, with the text that the user sees', () => {
  test('another build of a path that is here: the first stays, and readers never see a mixture', async () => {
    const other = await nix.openStore()
    const random = `{ random = derivation { name = "random"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "od -An -N8 -tx1 /dev/urandom > $out" ]; PATH = "/bin:/usr/bin"; }; }`
    const [path] = await store.build(random, 'random')
    const [same] = await other.build(random, 'random')
    expect(same).toBe(path)
    expect((await store.dump(path!)).equals(await other.dump(path!))).toBe(false)
    await using cache = await openPushCache(nix, { signing: [key] })
    const results = await Promise.all([push('ci', cache.url, [path!]), push('ci', cache.url, [path!], other)])
    const codes = results.map(({ code }) => code)
    const loser = results.find(({ code }) => code !== 0)
    if (loser !== undefined) {
      expect(codes.filter((code) => code === 0).length).toBe(1)
      expect(loser.stderr).toMatch(/already stored by ci since \d{4}-\S+, with NAR hash sha256:/)
    }
    const to = await pull(cache, 'ben', [path!])
    const read = await to.dump(path!)
    expect(read.equals(await store.dump(path!)) || read.equals(await other.dump(path!))).toBe(true)
  })

  test('a body above the limit of the edge, with a hint at what to use instead', async () => {
    await using cache = await openPushCache(nix, { maxBodyBytes: 1_000_000 })
    const { code, stderr } = await push('ci', `${cache.url}?compression=none`, [big])
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/This NAR has 6 MB; Cloudflare accepts bodies up to 100 MB\. Use: burrow push/)
  })

  test('a cache that is full, with the numbers', async () => {
    await using cache = await openPushCache(nix, { maxBytes: 1_000_000 })
    const { code, stderr } = await push('ci', `${cache.url}?compression=none`, [big])
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/bytes/)
    expect(cache.depot.figures().nars).toBe(0)
  })

  test('a store with another name', async () => {
    await using cache = await openPushCache(nix)
    const headers = { authorization: basic('ci', 'secret') }
    const { status, body } = await put(cache, '/nix-cache-info', Buffer.from('StoreDir: /gnu/store\n'), headers)
    expect([status, body]).toEqual([409, 'This cache is for /nix/store\n'])
  })

  test.each([
    ['PUT of an unknown suffix', `/nar/${'0'.repeat(52)}.nar.lzma2`, 415],
    ['PUT of something else', '/robots.txt', 405],
    ['PUT beside the folder', '/nar/..%2f..%2fx.nar', 415],
    ['a narinfo whose NAR is not here', `/${'0'.repeat(32)}.narinfo`, 422],
  ])('%s', async (_what, path, expected) => {
    await using cache = await openPushCache(nix)
    const text = `StorePath: /nix/store/${'0'.repeat(32)}-x\nURL: nar/${'0'.repeat(52)}.nar\nCompression: none\nNarHash: sha256:${'0'.repeat(52)}\nNarSize: 120\nReferences: \n`
    expect((await put(cache, path, Buffer.from(text), { authorization: basic('ci', 'secret') })).status).toBe(expected)
  })

  test('a body without a length', async () => {
    await using cache = await openPushCache(nix)
    const answer = await fetch(`${cache.url}/nar/${'0'.repeat(52)}.nar`, {
      method: 'PUT',
      headers: { authorization: basic('ci', 'secret') },
      body: new ReadableStream({
        start(controller) {
          controller.enqueue(Buffer.from('x'))
          controller.close()
        },
      }),
      duplex: 'half',
    } as RequestInit)
    expect(answer.status).toBe(411)
  })
})

test('what a push got a 2xx for is there after the cache was ended and started again', async () => {
  const dir = join(await nix.makeDir('depot'), 'depot')
  {
    await using cache = await openPushCache(nix, { dir, signing: [key] })
    await push('ci', cache.url, [closure.app, big])
  }
  await using cache = await openPushCache(nix, { dir, signing: [key] })
  const to = await pull(cache, 'ben', [closure.app, big])
  expect((await to.dump(big)).equals(await store.dump(big))).toBe(true)
})

test('a reference that only this machine has is copied into the depot, so that Nix may collect it here', async () => {
  const local = await nix.openStore()
  await nix.run('nix', ['copy', '--no-check-sigs', '--from', store.root, '--to', local.root, closure.lib])
  await using cache = await openPushCache(nix, { local, signing: [key] })
  expect(await push('ci', cache.url, [closure.app])).toMatchObject({ code: 0 })
  await local.collectGarbage()
  const to = await pull(cache, 'ben', [closure.app])
  expect((await to.dump(closure.lib)).equals(await store.dump(closure.lib))).toBe(true)
})

test('the newer Nix pushes and pulls the same', async () => {
  if (!hasNewerNix) return sayThatItIsSkipped()
  await using cache = await openPushCache(nix, { signing: [key] })
  const script = `set -e; mkdir $d/tree; echo content > $d/tree/file; head -c 3000000 /dev/urandom > $d/tree/big
printf 'machine 127.0.0.1 login ci password secret\\n' > $d/netrc; export NIX_CONFIG="$NIX_CONFIG
netrc-file = $d/netrc"
p=$(nix store add-path --store $d/from $d/tree)
nix copy --no-check-sigs --from $d/from --to '${cache.url}?compression=zstd' $p
rm -rf $d/cache; nix copy --from '${cache.url}' --to $d/to --option trusted-public-keys '${key.publicKey}' $p
cmp $d/tree/big $d/to$p/big && echo same`
  const { stdout } = await runNewerNix(nix, script)
  expect(stdout).toContain('same')
})

async function put(
  cache: PushCache,
  path: string,
  body: Buffer,
  headers: Record<string, string>,
): Promise<{ status: number; body: string }> {
  const { request } = await import('node:http')
  return await new Promise((resolve, reject) => {
    const sent = request({
      host: '127.0.0.1',
      port: cache.cache.port,
      path,
      method: 'PUT',
      headers: { ...headers, 'content-length': String(body.length) },
    })
    sent.on('error', reject)
    sent.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode!, body: text }))
    })
    sent.end(body)
  })
}
