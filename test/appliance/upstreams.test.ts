/**
 * `burrow serve` with another cache behind it: what it lacks comes from there, is kept, and is its own from then on.
 */
import { writeFile } from 'node:fs/promises'

import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { parseNarInfo } from '../../src/index.ts'
import { basic } from '../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { servePlainCache } from '../fixtures/plain-cache.ts'
import { serveBurrow } from './burrow.ts'
import { createScratchDir } from './scratch-dir.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let key: { readonly secretFile: string; readonly publicKey: string }

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  key = await nix.generateKey('upstream-1')
  await store.sign(key.secretFile, closure.appClosure)
})
afterAll(() => nix[Symbol.asyncDispose]())

test('what is not here comes from an upstream once, and is signed by this cache from then on, also after the upstream is gone and a restart', async () => {
  const folder = await nix.makeDir('folder')
  await nix.run('nix', [
    'copy',
    '--no-check-sigs',
    '--from',
    store.root,
    '--to',
    `file://${folder}?compression=zstd`,
    closure.app,
  ])
  await using upstream = await servePlainCache(folder)
  await using dir = await createScratchDir()
  const config = {
    listen: '127.0.0.1:0',
    users: ['ben:long enough'],
    state: { dir: dir.file('state') },
    store: { realDir: dir.file('none') },
    upstreams: [{ url: upstream.url, publicKeys: [key.publicKey] }],
  }
  await writeFile(dir.file('burrow.json'), JSON.stringify(config), { mode: 0o600 })
  const headers = { authorization: basic('ben', 'long enough') }
  const netrc = await nix.writeNetrc([{ login: 'ben', password: 'long enough' }])
  const narInfoOf = async (url: string) =>
    parseNarInfo(await (await fetch(`${url}/${closure.app.slice(11, 43)}.narinfo`, { headers })).text())!

  let ownKey: string
  {
    await using served = await serveBurrow([], { cwd: dir.path })
    ownKey = (await (await fetch(`${served.url}/v1/public-key`, { headers })).text()).trim()
    const first = await nix.openStore()
    await nix.copy({ from: served.url, to: first, paths: [closure.app], netrc, trustedPublicKeys: [key.publicKey] })
    const asked = upstream.requests.filter((request) => request.startsWith('GET /nar/')).length
    expect((await narInfoOf(served.url)).signatures.map((signature) => signature.split(':')[0])).toContain(
      ownKey.split(':')[0],
    )
    const second = await nix.openStore()
    await nix.copy({ from: served.url, to: second, paths: [closure.app], netrc, trustedPublicKeys: [ownKey] })
    expect(upstream.requests.filter((request) => request.startsWith('GET /nar/')).length).toBe(asked)
  }
  upstream.status = 502
  await using again = await serveBurrow([], { cwd: dir.path })
  const third = await nix.openStore()
  await nix.copy({ from: again.url, to: third, paths: [closure.app], netrc, trustedPublicKeys: [ownKey] })
  expect((await third.dump(closure.app)).equals(await store.dump(closure.app))).toBe(true)
  expect((await fetch(`${again.url}/${'0'.repeat(32)}.narinfo`, { headers })).status).toBe(404)
})
