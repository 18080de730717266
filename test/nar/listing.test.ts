import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Packer } from '../../src/nar/contract.ts'
import type { NarListing } from '../../src/nar/listing.ts'
import { openPacker } from '../../src/nar/packer.ts'
import { type NixFixture, openNixFixture } from '../fixtures/nix.ts'
import { directory, file, link, sorted, TempDir } from './trees.ts'

let packer: Packer
let nix: NixFixture
beforeAll(async () => {
  packer = openPacker()
  nix = await openNixFixture()
})
const list = async (path: string): Promise<NarListing> =>
  JSON.parse(Buffer.from(await packer.listJson(path)).toString()).root

afterAll(async () => {
  await packer[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

test('list matches what nix copy writes with write-nar-listing', async () => {
  using dir = new TempDir()
  const path = dir.write(
    'tree',
    directory({
      bin: directory({ 'a"b\\': file('quoted', true), ä: file('ä') }),
      empty: directory(),
      none: file(''),
      l: link('bin/ä'),
      ['__proto__' as string]: file('p'),
      '10': file('ten'),
      '9': file('nine'),
    }),
  )
  const store = await nix.openStore()
  const { stdout } = await nix.run('nix-store', ['--store', store.root, '--add', path])
  const cache = await nix.makeDir('cache')
  await nix.run('nix', [
    'copy',
    '--from',
    store.root,
    '--to',
    `file://${cache}?write-nar-listing=true`,
    '--no-check-sigs',
    stdout.trim(),
  ])
  const name = (await readdir(cache)).find((entry) => entry.endsWith('.ls'))!
  const written = JSON.parse(await readFile(join(cache, name), 'utf8'))
  expect(JSON.parse(Buffer.from(await packer.listJson(path)).toString())).toEqual(written)
  expect(await list(path)).toEqual(written.root)
})

test('list supports files and symlinks at the top', async () => {
  using dir = new TempDir()
  expect(await list(dir.write('f', file('12345', true)))).toEqual({
    type: 'regular',
    size: 5,
    executable: true,
    narOffset: 128,
  })
  expect(await list(dir.write('l', link('there')))).toEqual({ type: 'symlink', target: 'there' })
  expect(await list(dir.write('d', directory()))).toEqual({ type: 'directory', entries: {} })
})

test('list keeps names distinct that are not UTF-8', async () => {
  using dir = new TempDir()
  const names = [Buffer.from([0xff]), Buffer.from([0xfe]), Buffer.from([0x61, 0xc3]), Buffer.from('ä')]
  const listing = await list(dir.write('d', sorted(names.map((name) => [name, file('')]))))
  expect(listing.type === 'directory' && Object.keys(listing.entries).sort()).toEqual(
    ['a\udcc3', 'ä', '\udcfe', '\udcff'].sort(),
  )
})

test('list rejects with nar-changed for a missing path', async () => {
  await expect(packer.listJson('/nowhere/at/all')).rejects.toMatchObject({ code: 'nar-changed' })
})
