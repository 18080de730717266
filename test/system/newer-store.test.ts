/**
 * A store written by Nix 2.34 (its schema, records and signatures are in test/vectors), served to the Nix of this
 * machine.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { parseNarInfo } from '../../src/index.ts'
import { openTestCache } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

interface Vectors {
  readonly publicKey: string
  /** By base name: the content, of regular files all. */
  readonly files: Readonly<Record<string, string>>
  readonly pathInfo: Readonly<
    Record<
      string,
      {
        narHash: string
        narSize: number
        references: string[]
        deriver: string | null
        ca: string | null
        signatures: string[]
      }
    >
  >
}

let nix: NixFixture
let store: ScratchStore
let vectors: Vectors

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  const read = (suffix: string) => readFile(new URL(`../vectors/nix-2.34-store.${suffix}`, import.meta.url), 'utf8')
  vectors = JSON.parse(await read('json'))
  for (const suffix of ['', '-wal', '-shm']) await rm(store.database + suffix, { force: true })
  using database = new DatabaseSync(store.database)
  database.exec('pragma journal_mode = wal')
  database.exec(await read('sql'))
  await mkdir(store.realStoreDir, { recursive: true })
  for (const [name, content] of Object.entries(vectors.files))
    await writeFile(join(store.realStoreDir, name), content, { mode: 0o444 })
})
afterAll(() => nix[Symbol.asyncDispose]())

const toHex = (sri: string) => Buffer.from(sri.slice('sha256-'.length), 'base64').toString('hex')

test('has narinfos with the hashes, references, derivers and signatures that Nix 2.34 prints itself', async () => {
  await using cache = await openTestCache(store)
  for (const [path, expected] of Object.entries(vectors.pathInfo)) {
    const found = parseNarInfo((await cache.get(`/${path.slice(11, 43)}.narinfo`)).body.toString())!
    const { stdout } = await nix.run('nix', ['hash', 'to-base16', found.narHash])
    expect(stdout.trim()).toBe(toHex(expected.narHash))
    expect(found).toMatchObject({
      storePath: path,
      narSize: expected.narSize,
      contentAddress: expected.ca ?? undefined,
      signatures: expected.signatures,
    })
    expect([...found.references].sort()).toEqual([...expected.references].sort())
    expect(found.deriver).toBe(expected.deriver ?? undefined)
  }
})

test('is copied by the Nix of this machine, which trusts nothing but the signatures of 2.34', async () => {
  await using cache = await openTestCache(store, { users: undefined })
  const to = await nix.openStore()
  // Nix takes the name of a derivation for its outputs.
  const paths = Object.keys(vectors.pathInfo).filter((path) => !path.endsWith('.drv'))
  await nix.copy({ from: cache.url, to, paths, trustedPublicKeys: [vectors.publicKey] })
  for (const path of paths)
    expect(await readFile(join(to.realStoreDir, path.slice('/nix/store/'.length)), 'utf8')).toBe(
      vectors.files[path.slice('/nix/store/'.length)],
    )
})
