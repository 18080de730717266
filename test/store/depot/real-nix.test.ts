/**
 * What real Nix writes into a binary cache goes into the depot file by file, and real Nix reads it back out of what the
 * depot serves.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { parseNarFileUrl } from '../../../src/nix/nar-file-url.ts'
import { formatNarInfo, type NarInfo } from '../../../src/nix/nar-info.ts'
import { parseNarInfo } from '../../../src/nix/parse-nar-info.ts'
import { hashPartOf } from '../../../src/nix/store-path.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { ann, inChunks, readAll, TestDepot } from './fixture.ts'

describe('beside real Nix', () => {
  let nix: NixFixture
  let store: ScratchStore
  let paths: string[]
  let publicKey: string
  let secretFile: string

  beforeAll(async () => {
    nix = await openNixFixture()
    store = await nix.openStore()
    const closure = await store.buildClosure()
    paths = [...closure.appClosure, closure.appDev, await store.addFile('odd+name?=._-x', 'content-addressed\n')]
    ;({ publicKey, secretFile } = await nix.generateKey('pusher-1'))
    await store.sign(secretFile, paths)
  })
  afterAll(() => nix[Symbol.asyncDispose]())

  /** Sends a cache directory as the client does: NARs and narinfos, references first. */
  async function pushCache(depot: TestDepot, cache: string): Promise<NarInfo[]> {
    const names = (await readdir(cache)).filter((name) => name.endsWith('.narinfo'))
    let left = await Promise.all(names.map(async (name) => parseNarInfo(await readFile(join(cache, name), 'utf8'))!))
    const pushed: NarInfo[] = []
    while (left.length > 0) {
      const next = left.find(({ storePath, references }) =>
        references.every((path) => path === storePath || pushed.some((info) => info.storePath === path)),
      )!
      const bytes = await readFile(join(cache, next.url))
      const { fileHash, compression } = parseNarFileUrl(next.url)!
      expect(
        await depot.depot.receiveNar({ fileHash, fileSize: bytes.length, compression, who: ann }, inChunks(bytes)),
      ).toMatchObject({ status: 'stored' })
      expect(await depot.depot.registerNarInfo(hashPartOf(next.storePath), next, ann)).toEqual({ status: 'registered' })
      pushed.push(next)
      left = left.filter((info) => info !== next)
    }
    return pushed
  }

  test.each(['xz', 'zstd', 'br', 'bzip2', 'gzip', 'none'])(
    'a closure with compression %s goes in, content addresses and signatures checked, and comes out',
    async (compression) => {
      const cache = await nix.makeDir('cache')
      await nix.run('nix', [
        'copy',
        '--from',
        store.root,
        '--to',
        `file://${cache}?compression=${compression}`,
        ...paths,
      ])
      await using depot = new TestDepot()
      await depot.reopen({ policy: { requireSignatures: [publicKey] } })
      const pushed = await pushCache(depot, cache)
      expect(pushed).toHaveLength(paths.length)
      const served = await nix.makeDir('served')
      await mkdir(join(served, 'nar'))
      await writeFile(join(served, 'nix-cache-info'), 'StoreDir: /nix/store\n')
      for (const { storePath, url, system } of pushed) {
        const { info, form } = depot.depot.find(hashPartOf(storePath))!
        if (form.kind !== 'file') throw new Error('no file')
        await writeFile(join(served, url), await readAll(await form.open()))
        await writeFile(
          join(served, `${hashPartOf(storePath)}.narinfo`),
          formatNarInfo({ ...info, ...form, url, system }),
        )
      }
      const target = await nix.openStore(`target-${compression}`)
      await nix.copy({ from: `file://${served}`, to: target, paths, trustedPublicKeys: [publicKey] })
      for (const path of paths) expect((await target.pathInfo(path)).narHash).toBe((await store.pathInfo(path)).narHash)
      expect(depot.depot.figures()).toMatchObject({ objects: paths.length, damaged: 0 })
    },
    300_000,
  )
})
