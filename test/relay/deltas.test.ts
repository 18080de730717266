/** An update over the relay: what the client's store has already does not cross the line again. */
import { randomBytes } from 'node:crypto'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { generateSecretKey, hashPartOf, type LocalStore, openLocalStore, silentLog } from '../../src/index.ts'
import { benAuthorization, openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { openPushCache } from '../fixtures/push-cache.ts'
import { openTestRelay, type TestRelay } from './test-relay.ts'

let nix: NixFixture
let store: ScratchStore
let before: string
let after: string
const key = generateSecretKey('cache-1')

/** Two versions of a package: most of it is the same, one file differs a little, one is new, one was renamed. */
async function addVersions(): Promise<[string, string]> {
  const dir = await nix.makeDir('package')
  const library = randomBytes(3_000_000)
  const old = join(dir, 'tool-1.0')
  await mkdir(join(old, 'lib'), { recursive: true })
  await writeFile(join(old, 'lib/libtool.so.1'), library)
  await writeFile(join(old, 'data'), randomBytes(2_000_000))
  await writeFile(join(old, 'program'), '#!/bin/sh\necho 1.0\n', { mode: 0o755 })
  const next = join(dir, 'tool-1.1')
  await cp(old, next, { recursive: true })
  library.write('patched', 1_500_000)
  await writeFile(join(next, 'lib/libtool.so.1'), library)
  await writeFile(join(next, 'program'), '#!/bin/sh\necho 1.1\n', { mode: 0o755 })
  return [await store.addTree(old), await store.addTree(next)]
}

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  ;[before, after] = await addVersions()
})

afterAll(() => nix[Symbol.asyncDispose]())

/** A client that has the older version, with a relay beside it. */
async function openClient(
  cache: TestCache,
): Promise<{ client: ScratchStore; local: LocalStore; near: TestRelay } & AsyncDisposable> {
  await using opening = new AsyncDisposableStack()
  const client = await nix.openStore()
  const first = opening.use(await openTestRelay(cache.url))
  await nix.copy({ from: first.url, to: client, paths: [before], trustedPublicKeys: [key.publicKey] })
  const local = opening.use(
    await openLocalStore({
      storeDir: '/nix/store',
      realStoreDir: client.realStoreDir,
      database: client.database,
      leases: { narInfoSeconds: 60, maxPaths: 1000 },
      log: silentLog,
    }),
  )
  const near = opening.use(
    await openTestRelay(cache.url, {
      findLocal: (hashPart) => local.find(hashPart) as ReturnType<LocalStore['find']> & undefined,
    }),
  )
  const resources = opening.move()
  return { client, local, near, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

/** A far end that is too busy to make a delta within seconds sends the whole NAR, and has the delta later. */
async function untilDeltaIsMade({ url }: TestCache, authorization: string): Promise<void> {
  const answer = await fetch(`${url}/v1/closure`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ roots: [hashPartOf(after)], bases: true }),
  })
  const [line = ''] = (await answer.text()).split('\n')
  const { bases } = JSON.parse(line) as { bases: readonly { url: string }[] }
  for (;;) {
    const delta = await fetch(`${url}/${bases[0]!.url}`, { headers: { authorization } })
    await delta.arrayBuffer()
    if (delta.status === 200) return
  }
}

describe('a new version', () => {
  test('arrives as a delta, is the very NAR, and the delta is kept for the next client', async () => {
    await using cache = await openTestCache(store, { signing: [key] })
    await untilDeltaIsMade(cache, benAuthorization)
    for (let turn = 0; turn < 2; turn++) {
      await using world = await openClient(cache)
      const { client, near } = world
      await nix.copy({ from: near.url, to: client, paths: [after], trustedPublicKeys: [key.publicKey] })
      expect((await client.dump(after)).equals(await store.dump(after))).toBe(true)
      const { nars, bytes } = near.relay.status
      expect(nars).toMatchObject({ byDelta: 1, failed: 0 })
      expect(bytes.received).toBeLessThan(100_000)
      expect(bytes.savedByDeltas).toBeGreaterThan(1_000_000)
      expect(cache.cache.stats.larder?.deltas).toMatchObject({ made: 1, sent: turn + 2 })
    }
  })

  test('arrives whole where a file of the base is not what it was, and that base is not used again', async () => {
    await using cache = await openTestCache(store, { signing: [key] })
    await using world = await openClient(cache)
    const { client, near } = world
    const damaged = join(client.realStoreDir, before.slice('/nix/store/'.length), 'data')
    const content = await readFile(damaged)
    content.write('rotten', 1_000_000)
    await nix.run('chmod', ['u+w', damaged])
    await writeFile(damaged, content)
    await nix.copy({ from: near.url, to: client, paths: [after], trustedPublicKeys: [key.publicKey] })
    expect((await client.dump(after)).equals(await store.dump(after))).toBe(true)
    expect(near.relay.status.nars).toMatchObject({ byDelta: 0, failed: 0 })
    const answer = await fetch(`${near.url}/${hashPartOf(after)}.narinfo`)
    const url = /^URL: (.*)$/m.exec(await answer.text())![1]!
    const nar = await fetch(`${near.url}/${url}`)
    expect(Buffer.from(await nar.arrayBuffer()).equals(await store.dump(after))).toBe(true)
    expect(near.relay.status.nars.byDelta).toBe(0)
  })

  test('a delta of a base that is gone at the far end is a 404, and the NAR arrives', async () => {
    const other = await nix.openStore()
    await nix.run('nix', ['copy', '--no-check-sigs', '--from', store.root, '--to', other.root, before, after])
    await using cache = await openTestCache(other, { signing: [key] })
    await using world = await openClient(cache)
    const { client, near } = world
    // The relay learns of the base, and then it is collected.
    await fetch(`${near.url}/${hashPartOf(after)}.narinfo`)
    await other.nixStore(['--delete', before])
    await nix.copy({ from: near.url, to: client, paths: [after], trustedPublicKeys: [key.publicKey] })
    expect((await client.dump(after)).equals(await store.dump(after))).toBe(true)
    expect(near.relay.status.nars).toMatchObject({ byDelta: 0, failed: 0, sent: 1 })
  })

  test('arrives as a delta where the far end has both versions in its depot', async () => {
    await using far = await openPushCache(nix, { signing: [key] })
    const netrc = await nix.writeNetrc([{ login: 'ci', password: 'secret' }])
    const from = ['copy', '--no-check-sigs', '--from', store.root, '--option', 'netrc-file', netrc]
    await nix.run('nix', [...from, '--to', `${far.url}?compression=zstd`, before, after])
    await untilDeltaIsMade(far.cache, benAuthorization)
    await using world = await openClient(far.cache)
    const { client, near } = world
    await nix.copy({ from: near.url, to: client, paths: [after], trustedPublicKeys: [key.publicKey] })
    expect((await client.dump(after)).equals(await store.dump(after))).toBe(true)
    expect(near.relay.status.nars).toMatchObject({ byDelta: 1, failed: 0 })
    expect(near.relay.status.bytes.received).toBeLessThan(100_000)
  })

  test('arrives whole where deltas are switched off', async () => {
    await using cache = await openTestCache(store, {
      signing: [key],
      larder: { dir: await nix.makeDir('larder'), maxBytes: 1e9, deltas: false },
    })
    await using world = await openClient(cache)
    const { client, near } = world
    await nix.copy({ from: near.url, to: client, paths: [after], trustedPublicKeys: [key.publicKey] })
    expect(near.relay.status.nars).toMatchObject({ byDelta: 0, sent: 1, failed: 0 })
  })

  test('a base that is collected while it is read: the NAR arrives all the same', async () => {
    await using cache = await openTestCache(store, { signing: [key] })
    await using world = await openClient(cache)
    const { client, near } = world
    await fetch(`${near.url}/${hashPartOf(after)}.narinfo`)
    const copying = nix.copy({ from: near.url, to: client, paths: [after], trustedPublicKeys: [key.publicKey] })
    const files = join(client.realStoreDir, before.slice('/nix/store/'.length))
    while (near.relay.status.nars.underWay === 0 && near.relay.status.nars.sent === 0)
      await new Promise((resolve) => setTimeout(resolve, 1))
    await nix.run('chmod', ['-R', 'u+w', files])
    await rm(files, { recursive: true })
    await copying
    expect((await client.dump(after)).equals(await store.dump(after))).toBe(true)
    expect(near.relay.status.nars).toMatchObject({ failed: 0 })
  })
})
