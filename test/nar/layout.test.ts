import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { NarReader } from '../../src/nar/nar-reader.ts'
import { run } from '../fixtures/run.ts'
import { examples } from './examples.ts'
import { findLayout } from './find-layout.ts'
import { anyTree, directory, dumpWithNix, file, link, sorted, TempDir, type Tree } from './trees.ts'

function pack(path: string): Buffer {
  const layout = findLayout(path)
  const nar = Buffer.alloc(layout.narSize)
  const reader = new NarReader(layout)
  let done = 0
  while (reader.remaining > 0) done += reader.read(nar.subarray(done))
  return nar
}

const deep = (levels: number): Tree => (levels === 0 ? file('bottom') : directory({ d: deep(levels - 1) }))

const trees: Readonly<Record<string, Tree>> = {
  'names that are not UTF-8': sorted([
    [Buffer.from([0xff, 0xfe]), file('a')],
    [Buffer.from([0x80]), directory({ x: file('b') })],
    [Buffer.from([0xe2, 0x82]), link(Buffer.from([0xff]))],
    [Buffer.from('ä'), file('c')],
    [Buffer.from('z'), file('d')],
  ]),
  'empty files and directories': directory({
    a: directory(),
    b: file(''),
    c: directory({ d: directory({ e: directory() }) }),
    f: file(''),
  }),
  'an empty directory': directory(),
  'an empty file': file(''),
  executables: directory({ run: file('#!/bin/sh\n', true), 'run.txt': file('no') }),
  symlinks: directory({ absolute: link('/nix/store/x'), dangling: link('../../nowhere'), up: link('..') }),
  'a symlink at the top': link('/etc/passwd'),
  'a file at the top': file('top\n'),
  'sizes around the padding': directory(
    Object.fromEntries(Array.from({ length: 20 }, (_, size) => [`f${size}`, file('y'.repeat(size))])),
  ),
  'names around the padding': directory(
    Object.fromEntries(Array.from({ length: 20 }, (_, size) => ['n'.repeat(size + 1), file('')])),
  ),
  'names that sort bytewise, not alphabetically': directory({
    B: file(''),
    a: file(''),
    'a.lnk': file(''),
    'a-b': directory(),
    a0: file(''),
    Z: file(''),
  }),
  'the name __proto__': directory({ ['__proto__' as string]: file('p'), constructor: file('c') }),
  '63 levels': deep(63),
  '90 levels, which only older Nix versions read': deep(90),
}

describe('the layout and the reader', () => {
  test.each(examples)('pack $name like the worked example', ({ tree, nar }) => {
    using dir = new TempDir()
    expect(pack(dir.write('x', tree)).equals(nar)).toBe(true)
  })

  test.each(Object.keys(trees))('match nix-store --dump: %s', async (name) => {
    using dir = new TempDir()
    const path = dir.write('x', trees[name]!)
    expect(pack(path).equals(await dumpWithNix(path))).toBe(true)
  })

  test('match nix-store --dump of random trees', async () => {
    using dir = new TempDir()
    let count = 0
    await fc.assert(
      fc.asyncProperty(anyTree, async (tree) => {
        const path = dir.write(`t${count++}`, tree)
        expect(pack(path).equals(await dumpWithNix(path))).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  test('match nix-store --dump of 20,000 entries', async () => {
    using dir = new TempDir()
    const path = join(dir.path, 'many')
    mkdirSync(path)
    for (let d = 0; d < 100; d++) {
      mkdirSync(join(path, `d${d}`))
      for (let f = 0; f < 200; f++) writeFileSync(join(path, `d${d}`, `f${f}`), 'z'.repeat((f * 7 + d) % 90))
    }
    expect(pack(path).equals(await dumpWithNix(path))).toBe(true)
    const { memoryBytes, entries } = findLayout(path)
    expect(memoryBytes / entries).toBeLessThan(60)
  })

  test('reject a fifo and a socket as changed', async () => {
    using dir = new TempDir()
    const path = dir.write('x', directory({ a: file('a') }))
    await run('mkfifo', [join(path, 'fifo')])
    expect(() => findLayout(path)).toThrow(
      expect.objectContaining({ code: 'nar-changed', message: expect.stringContaining('fifo') }),
    )
    const other = dir.write('y', directory())
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(join(other, 's'), resolve))
    expect(() => findLayout(other)).toThrow(expect.objectContaining({ code: 'nar-changed' }))
    await new Promise((resolve) => server.close(resolve))
  })

  test('report a missing path as changed', () => {
    using dir = new TempDir()
    expect(() => findLayout(join(dir.path, 'none'))).toThrow(expect.objectContaining({ code: 'nar-changed' }))
  })
})
