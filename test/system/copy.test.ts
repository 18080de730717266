/** A stock Nix client copies a closure, with its password in a netrc file, and accepts the signatures. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { generateSecretKey } from '../../src/index.ts'
import { ben, openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let cache: TestCache
let netrc: string
const key = generateSecretKey('cache.example-1')
const newKey = generateSecretKey('cache.example-2')
const wrongKey = generateSecretKey('cache.example-1')

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  cache = await openTestCache(store, { signing: [key] })
  netrc = await nix.writeNetrc([{ machine: '127.0.0.1', login: 'ben', password: 'secret' }])
})

afterAll(async () => {
  await cache[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

async function expectCopied(to: ScratchStore, trustedPublicKeys: string[]): Promise<void> {
  expect(await to.closureOf(closure.app)).toEqual(closure.appClosure)
  for (const path of closure.appClosure) expect((await to.dump(path)).equals(await store.dump(path))).toBe(true)
  await to.nixStore(['--verify-path', ...closure.appClosure])
  const verified = await nix.run('nix', [
    'store',
    'verify',
    '--store',
    to.root,
    '--recursive',
    '--option',
    'trusted-public-keys',
    trustedPublicKeys.join(' '),
    closure.app,
  ])
  expect(verified.code).toBe(0)
}

test.each([
  ['compressed', {}],
  ['uncompressed', { compression: { type: 'none' } }],
] as const)('nix copy takes a %s closure, requiring signatures', async (_form, options) => {
  await using from = await openTestCache(store, { signing: [key], ...options })
  const to = await nix.openStore()
  await nix.copy({ from: from.url, to, paths: [closure.app], netrc, trustedPublicKeys: [key.publicKey] })
  await expectCopied(to, [key.publicKey])
})

test('nix-store --realise substitutes it, as a build would', async () => {
  const to = await nix.openStore()
  await nix.realise({ from: cache.url, to, paths: [closure.app], netrc, trustedPublicKeys: [key.publicKey] })
  await expectCopied(to, [key.publicKey])
})

test('with the default priority a path that a public cache has too comes from there, in whatever order they are named', async () => {
  await using publicCache = await openTestCache(store, { signing: [key], priority: 40 })
  await using ours = await openTestCache(store, { signing: [key], priority: 50 })
  for (const from of [`${ours.url} ${publicCache.url}`, `${publicCache.url} ${ours.url}`]) {
    const to = await nix.openStore()
    await nix.realise({ from, to, paths: [closure.app], netrc, trustedPublicKeys: [key.publicKey] })
    await expectCopied(to, [key.publicKey])
  }
  expect(ours.exchanges.filter(({ route }) => route.startsWith('nar-') || route === 'nar')).toEqual([])
})

test('a client that remembers a narinfo from before the compression still gets its NAR', async () => {
  await using from = await openTestCache(store, { signing: [key] })
  const clientCache = `${nix.dir}/remembering`
  const first = await nix.openStore()
  await nix.copy({
    from: from.url,
    to: first,
    paths: [closure.app],
    netrc,
    trustedPublicKeys: [key.publicKey],
    clientCache,
  })
  const asked = from.exchanges.filter(({ route }) => route === 'narinfo').length
  const second = await nix.openStore()
  await nix.copy({
    from: from.url,
    to: second,
    paths: [closure.app],
    netrc,
    trustedPublicKeys: [key.publicKey],
    clientCache,
  })
  expect(from.exchanges.filter(({ route }) => route === 'narinfo').length).toBeLessThan(asked * 2)
  await expectCopied(second, [key.publicKey])
})

describe('credentials', () => {
  test.each([
    ['a wrong password', { machine: '127.0.0.1', login: 'ben', password: 'wrong' }],
    ['an unknown name', { machine: '127.0.0.1', login: 'eve', password: 'secret' }],
    ['an entry for another host', { machine: 'other.example', login: 'ben', password: 'secret' }],
  ])('with %s nothing is copied', async (_what, entry) => {
    const to = await nix.openStore()
    const wrong = await nix.writeNetrc([entry])
    const result = await nix.copy({
      from: cache.url,
      to,
      paths: [closure.app],
      netrc: wrong,
      trustedPublicKeys: [key.publicKey],
      allowFailure: true,
    })
    expect(result.code).not.toBe(0)
    expect(
      cache.exchanges.some(
        ({ user, route, status }) => user === undefined && route.startsWith('nar') && status === 200,
      ),
    ).toBe(false)
  })

  test('in the URL are taken as well', async () => {
    const to = await nix.openStore()
    await nix.copy({
      from: cache.url.replace('//', '//ben:secret@'),
      to,
      paths: [closure.app],
      trustedPublicKeys: [key.publicKey],
    })
    await expectCopied(to, [key.publicKey])
  })

  test('hashed with argon2id let a client in', async () => {
    await using from = await openTestCache(store, {
      signing: [key],
      users: [{ ...ben, secret: { kind: 'argon2id', hash: await hashOf('secret') } }],
    })
    const to = await nix.openStore()
    await nix.copy({ from: from.url, to, paths: [closure.app], netrc, trustedPublicKeys: [key.publicKey] })
    await expectCopied(to, [key.publicKey])
  })
})

describe('signing keys', () => {
  test('that the client does not trust stop the copy', async () => {
    const to = await nix.openStore()
    const result = await nix.copy({
      from: cache.url,
      to,
      paths: [closure.app],
      netrc,
      trustedPublicKeys: [wrongKey.publicKey],
      allowFailure: true,
    })
    expect(result.code).not.toBe(0)
    expect(result.stderr).toMatch(/signature/)
  })

  test('are rotated without a client noticing: first both sign, then the new one alone', async () => {
    await using from = await openTestCache(store, { signing: [key, newKey] })
    for (const trusted of [key, newKey]) {
      const to = await nix.openStore()
      await nix.copy({ from: from.url, to, paths: [closure.app], netrc, trustedPublicKeys: [trusted.publicKey] })
      await expectCopied(to, [trusted.publicKey])
    }
    from.cache.reload({ signing: [newKey], users: [ben], indexPage: undefined })
    const to = await nix.openStore()
    await nix.copy({ from: from.url, to, paths: [closure.app], netrc, trustedPublicKeys: [newKey.publicKey] })
    const late = await nix.openStore()
    const result = await nix.copy({
      from: from.url,
      to: late,
      paths: [closure.app],
      netrc,
      trustedPublicKeys: [key.publicKey],
      allowFailure: true,
    })
    expect(result.code).not.toBe(0)
  })
})

test('nix log, path-info and store ls work against the cache', async () => {
  const options = ['--store', cache.url, '--option', 'netrc-file', netrc]
  expect((await nix.run('nix', ['log', ...options, closure.app])).stdout).toContain('building app')
  const info = JSON.parse((await nix.run('nix', ['path-info', '--json', ...options, closure.app])).stdout)
  expect(info[0]).toMatchObject({ path: closure.app, narSize: (await store.pathInfo(closure.app)).narSize })
  expect((await nix.run('nix', ['store', 'ls', '-R', ...options, closure.lib])).stdout).toContain('bin/hi')
})

async function hashOf(password: string): Promise<string> {
  const { default: sodium } = await import('sodium-native')
  const text = Buffer.alloc(sodium.crypto_pwhash_STRBYTES)
  sodium.crypto_pwhash_str(
    text,
    Buffer.from(password),
    sodium.crypto_pwhash_OPSLIMIT_INTERACTIVE,
    sodium.crypto_pwhash_MEMLIMIT_INTERACTIVE,
  )
  return text.toString('latin1').replace(/\0+$/, '')
}
