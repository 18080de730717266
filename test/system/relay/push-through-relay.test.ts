/** Stock Nix pushes through the relay: `nix copy --to http://127.0.0.1:…`, forwarded by the push protocol. */
import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { openPushCache, type PushCache } from '../../fixtures/push-cache.ts'
import { openUploadProxy } from '../../fixtures/upload-proxy.ts'
import { startRelay } from './relay-program.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let big: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  big = await store.addFile('big', randomBytes(20_000_000))
})

afterAll(() => nix[Symbol.asyncDispose]())

const has = (cache: PushCache, path: string) => cache.depot.find(path.slice(11, 43))?.info.storePath === path

const copyTo = (url: string, paths: readonly string[]) =>
  nix.run('nix', ['copy', '--no-check-sigs', '--from', store.root, '--to', url, ...paths], { allowFailure: true })

describe('nix copy to the relay', () => {
  test.each(['zstd', 'none', 'br'])('a closure, as Nix compresses it with %s', async (compression) => {
    await using cache = await openPushCache(nix)
    const spoolHome = await nix.makeDir('state')
    await using relay = await startRelay(nix, { to: cache.url, env: { STATE_DIRECTORY: spoolHome } })
    const { code, stderr } = await copyTo(`${relay.url}?compression=${compression}`, [closure.app, big])
    expect([code, stderr]).toEqual([0, expect.anything()])
    for (const path of [closure.app, closure.lib, closure.base, big]) expect(has(cache, path)).toBe(true)
    expect(await readdir(join(spoolHome, 'spool'))).toEqual([])
    // And back again, by the same relay.
    const to = await nix.openStore()
    await nix.run('nix', ['copy', '--no-check-sigs', '--from', relay.url, '--to', to.root, big])
    expect((await to.dump(big)).equals(await store.dump(big))).toBe(true)
  })

  test('over a line whose connections are cut', async () => {
    await using cache = await openPushCache(nix)
    await using line = await openUploadProxy(Number(new URL(cache.url).port))
    await using relay = await startRelay(nix, { to: line.url })
    const copying = copyTo(relay.url, [big])
    await line.untilBytes(3_000_000)
    line.reset()
    await line.untilBytes(12_000_000)
    line.reset()
    const { code, stderr } = await copying
    expect([code, stderr]).toEqual([0, expect.anything()])
    expect(has(cache, big)).toBe(true)
  })

  test('a user who may not push is told so, at once', async () => {
    await using cache = await openPushCache(nix)
    await using relay = await startRelay(nix, { to: cache.url, user: 'ben' })
    const { code, stderr } = await copyTo(relay.url, [closure.text])
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/HTTP error 403/)
    expect(stderr).toMatch(/may not push/)
  })

  test('what is there already is not sent again', async () => {
    await using cache = await openPushCache(nix)
    await using relay = await startRelay(nix, { to: cache.url })
    await copyTo(relay.url, [closure.app])
    const before = cache.cache.exchanges.length
    const { code } = await copyTo(relay.url, [closure.app])
    expect(code).toBe(0)
    expect(cache.cache.exchanges.slice(before).filter(({ route }) => route === 'push')).toEqual([])
  })

  test('other contents under a name that is taken: 409, with who pushed it and when', async () => {
    await using cache = await openPushCache(nix)
    await using relay = await startRelay(nix, { to: cache.url })
    const stores = await Promise.all(['one', 'two'].map(() => nix.openStore()))
    const random = `{ random = derivation { name = "random"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "od -An -N8 -tx1 /dev/urandom > $out" ]; PATH = "/bin:/usr/bin"; }; }`
    const [path] = await Promise.all(stores.map(async (each) => (await each.build(random, 'random'))[0]!))
    expect(
      (await nix.run('nix', ['copy', '--no-check-sigs', '--from', stores[0]!.root, '--to', relay.url, path!])).code,
    ).toBe(0)
    // Nix itself asks first whether the path is there, and sends nothing then.
    const folder = await nix.copyToFolder(stores[1]!, 'zstd', [path!])
    const put = async (file: string) =>
      await fetch(`${relay.url}/${file}`, { method: 'PUT', body: await readFile(join(folder, file)) })
    for (const nar of await readdir(join(folder, 'nar'))) expect((await put(`nar/${nar}`)).status).toBe(201)
    const answer = await put(`${path!.slice(11, 43)}.narinfo`)
    expect([answer.status, await answer.text()]).toEqual([409, expect.stringMatching(/by ci since/)])
  })
})
