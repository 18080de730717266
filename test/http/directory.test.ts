/**
 * A binary cache folder that real Nix wrote, served over HTTP: in every compression, alone and together with a Nix
 * store.
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { findDecompressors } from '../../appliance/server/decompressors.ts'
import { generateSecretKey, hashPartOf, openDirectoryStore, parseNarInfo, silentLog } from '../../src/index.ts'
import { openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let big: string
const key = generateSecretKey('folder-1')

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  big = await store.addFile('big', Buffer.concat([randomBytes(1_500_000), Buffer.alloc(1_500_000, 'text ')]))
})

afterAll(() => nix[Symbol.asyncDispose]())

const makeFolder = (compression: string, paths: readonly string[]) => nix.copyToFolder(store, compression, paths)

async function openFolder(dir: string): Promise<TestCache> {
  const folder = await openDirectoryStore({
    dir,
    storeDir: '/nix/store',
    decompressors: findDecompressors(process.env.PATH),
    log: silentLog,
  })
  return await openTestCache(store, { signing: [key], stores: [folder] })
}

const narInfoOf = async (cache: TestCache, path: string) =>
  parseNarInfo((await cache.get(`/${hashPartOf(path)}.narinfo`)).body.toString())

async function narFileOf(dir: string, path: string): Promise<string> {
  return join(dir, parseNarInfo(await readFile(join(dir, `${hashPartOf(path)}.narinfo`), 'utf8'))!.url)
}

describe.each(['none', 'zstd', 'xz', 'bzip2', 'gzip', 'br'])('a folder with %s', (compression) => {
  test('is copied by real Nix with signatures required, listed, and resumed', async () => {
    const dir = await makeFolder(compression, [closure.app, big])
    await using cache = await openFolder(dir)
    const info = (await narInfoOf(cache, big))!
    expect(info.compression).toBe(compression)
    expect(info.url).toMatch(/^nar\/[0-9a-z-]+(\.file-[0-9a-z]{52})?\.nar$/)
    expect(info.signatures.map((signature) => signature.split(':')[0])).toContain('folder-1')

    const stored = await readFile(await narFileOf(dir, big))
    const whole = await cache.get(`/${info.url}`)
    expect(whole.status).toBe(200)
    expect(whole.body.equals(stored)).toBe(true)
    const half = await cache.get(`/${info.url}`, { headers: { range: 'bytes=1000-' } })
    expect([half.status, half.body.equals(stored.subarray(1000))]).toEqual([206, true])

    const listing = JSON.parse((await cache.get(`/${hashPartOf(closure.app)}.ls`)).body.toString())
    const local = await openTestCache(store)
    expect(listing).toEqual(JSON.parse((await local.get(`/${hashPartOf(closure.app)}.ls`)).body.toString()))
    await local[Symbol.asyncDispose]()

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
  })
})

describe('the right bytes', () => {
  test('a stored NAR that was changed before, or while it is served, is never a whole reply, and is absent afterwards until it is replaced', async () => {
    const dir = await makeFolder('none', [big])
    await using cache = await openFolder(dir)
    const { url } = (await narInfoOf(cache, big))!
    const file = await narFileOf(dir, big)
    const right = await readFile(file)
    expect((await cache.get(`/${url}`)).body.equals(right)).toBe(true)
    // Changed in place after it was found right: with its times, and with its times put back.
    for (const isSilent of [false, true]) {
      const wrong = Buffer.from(right)
      wrong[2_000_000]! ^= 1
      await chmod(file, 0o644)
      await writeFile(file, wrong)
      if (isSilent) await utimes(file, new Date(1000), new Date(1000))
      const answer = await cache.get(`/${url}`)
      expect(answer.status === 404 || !answer.isComplete).toBe(true)
      expect((await cache.get(`/${url}`, { headers: { range: 'bytes=5-' } })).status).toBe(404)
      expect((await cache.get(`/${hashPartOf(big)}.narinfo`)).status).toBe(404)
      await writeFile(`${file}.new`, right)
      await rename(`${file}.new`, file)
      expect((await cache.get(`/${url}`)).body.equals(right)).toBe(true)
    }
  })

  test('a stored NAR whose file hash is right but whose NAR is not the recorded one is never served', async () => {
    const dir = await makeFolder('zstd', [big, closure.lib])
    const [one, other] = await Promise.all(
      [big, closure.lib].map(async (path) => join(dir, `${hashPartOf(path)}.narinfo`)),
    )
    const [text, foreign] = await Promise.all([readFile(one!, 'utf8'), readFile(other!, 'utf8')])
    const take = (name: string) => new RegExp(`^${name}: .*$`, 'm').exec(foreign)![0]
    let lying = text
    for (const name of ['URL', 'FileHash', 'FileSize'])
      lying = lying.replace(new RegExp(`^${name}: .*$`, 'm'), take(name))
    await writeFile(one!, lying)
    await using cache = await openFolder(dir)
    const { url } = (await narInfoOf(cache, big))!
    expect((await cache.get(`/${url}`)).status).toBe(404)
    expect((await cache.get(`/${hashPartOf(big)}.narinfo`)).status).toBe(404)
    expect((await cache.get(`/${hashPartOf(closure.lib)}.narinfo`)).status).toBe(200)
  })

  test.each([
    ['URL: ../../etc/passwd'],
    ['URL: /etc/passwd'],
    ['URL: http://127.0.0.1/x.nar'],
    ['URL: nar/../nix-cache-info'],
  ])('a record with "%s" is absent', async (line) => {
    const dir = await makeFolder('none', [closure.text])
    const file = join(dir, `${hashPartOf(closure.text)}.narinfo`)
    await writeFile(file, (await readFile(file, 'utf8')).replace(/^URL: .*$/m, line))
    await using cache = await openFolder(dir)
    expect((await cache.get(`/${hashPartOf(closure.text)}.narinfo`)).status).toBe(404)
  })
})

describe('what changes in the folder', () => {
  test('counts in the next request', async () => {
    const dir = await makeFolder('zstd', [closure.text])
    await using cache = await openFolder(dir)
    expect((await cache.get(`/${hashPartOf(closure.lib)}.narinfo`)).status).toBe(404)
    await nix.run('nix', ['copy', '--no-check-sigs', '--from', store.root, '--to', `file://${dir}`, closure.lib])
    expect((await cache.get(`/${hashPartOf(closure.lib)}.narinfo`)).status).toBe(200)
    await rm(join(dir, `${hashPartOf(closure.lib)}.narinfo`))
    expect((await cache.get(`/${hashPartOf(closure.lib)}.narinfo`)).status).toBe(404)
  })

  test('a folder that is gone is an illness, not a miss', async () => {
    const dir = await makeFolder('zstd', [closure.text])
    await using cache = await openFolder(dir)
    await rename(dir, `${dir}.away`)
    expect((await cache.get(`/${hashPartOf(closure.text)}.narinfo`)).status).toBe(503)
    await rename(`${dir}.away`, dir)
    expect((await cache.get(`/${hashPartOf(closure.text)}.narinfo`)).status).toBe(200)
  })

  test('a folder for another store directory is refused with both', async () => {
    const dir = await nix.makeDir('other')
    await writeFile(join(dir, 'nix-cache-info'), 'StoreDir: /gnu/store\n')
    const folder = await openDirectoryStore({ dir, storeDir: '/nix/store', decompressors: {}, log: silentLog })
    expect(folder.health()).toMatchObject({
      isReadable: false,
      problem: `"${dir}" is a cache for "/gnu/store", not for "/nix/store"`,
    })
    await expect(folder.find('0'.repeat(32))).rejects.toMatchObject({ code: 'store-unavailable' })
  })
})

describe('logs and realisations', () => {
  test('come from the folder, and nothing else of it does', async () => {
    const dir = await makeFolder('zstd', [closure.text])
    const drv = '00000000000000000000000000000000-x.drv'
    await mkdir(join(dir, 'log'), { recursive: true })
    await writeFile(join(dir, 'log', drv), 'built\n')
    await mkdir(join(dir, 'realisations'), { recursive: true })
    const id = `sha256:${'a'.repeat(64)}!out`
    const realisation = { id, outPath: '00000000000000000000000000000000-x', dependentRealisations: {}, signatures: [] }
    await writeFile(join(dir, 'realisations', `${id}.doi`), JSON.stringify(realisation))
    await using cache = await openFolder(dir)
    expect((await cache.get(`/log/${drv}`)).body.toString()).toBe('built\n')
    expect(JSON.parse((await cache.get(`/realisations/${encodeURIComponent(id)}.doi`)).body.toString())).toEqual(
      realisation,
    )
    for (const path of [
      '/log/..%2fnix-cache-info',
      '/log/nix-cache-info',
      `/nar/${(await readdir(join(dir, 'nar')))[0]}`,
    ]) {
      expect((await cache.get(path)).status).toBe(404)
    }
  })
})

describe('together with a Nix store', () => {
  test('each path comes from the first that has it, and a client that remembers the other one is served', async () => {
    const onlyLocal = await store.addFile('only-local', 'x')
    const dir = await makeFolder('xz', [big])
    await using local = await openTestCache(store)
    const { url: localUrl } = (await narInfoOf(local, big))!
    const folder = await openDirectoryStore({
      dir,
      storeDir: '/nix/store',
      decompressors: findDecompressors(process.env.PATH),
      log: silentLog,
    })
    const { openLocalStore } = await import('../../src/index.ts')
    const { storeDir, realStoreDir, database, stateDir, logDir } = store
    const leases = { narInfoSeconds: 0, maxPaths: 1 }
    await using nixStore = await openLocalStore({
      storeDir,
      realStoreDir,
      database,
      stateDir,
      logDir,
      daemonSocket: undefined,
      leases,
      log: silentLog,
    })
    await using cache = await openTestCache(store, { stores: [folder, nixStore] })
    expect((await narInfoOf(cache, big))!.compression).toBe('xz')
    expect((await narInfoOf(cache, onlyLocal))!.compression).toBe('zstd')
    // The larder's URL names bytes that the Nix store can still give.
    const answer = await cache.get(`/${localUrl}`)
    expect([answer.status, answer.headers['accept-ranges']]).toEqual([200, 'bytes'])
    await store.deletePath(big)
    const plain = `/nar/${hashPartOf(big)}-${(await narInfoOf(cache, big))!.narHash.slice('sha256:'.length)}.nar`
    const made = await cache.get(plain)
    expect([made.status, made.headers['accept-ranges'], made.isComplete]).toEqual([200, undefined, true])
    // What nobody has in that form any more is absent: the client goes to its next cache.
    expect((await cache.get(`/${localUrl}`)).status).toBe(404)
    await nix.run('nix', ['copy', '--no-check-sigs', '--from', `file://${dir}`, '--to', store.root, big])
  })
})
