import { appendFileSync, renameSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { encodeDelta } from '../../src/delta/encode.ts'
import { directory, dumpWithNix, file, link, openFilesBelow, sorted, TempDir, type Tree } from '../nar/trees.ts'
import { anyPair } from './any-pair.ts'
import { chunksOf, decode, encode, headerOf, random, readAll, readNar, readTree, roundTrip } from './deltas.ts'

const text = (lines: number, word: string): Buffer =>
  Buffer.from(
    Array.from({ length: lines }, (_, line) => `${line} ${word} ${Math.imul(line, 2654435761) >>> 0}\n`).join(''),
  )

describe('encodeDelta, then decodeDelta', () => {
  test('give the NAR of any tree from any other, in any pieces', async () => {
    using dir = new TempDir()
    await fc.assert(
      fc.asyncProperty(anyPair, fc.integer({ min: 1, max: 5000 }), async ([base, target], pieceBytes) => {
        await roundTrip(dir, base, target, pieceBytes)
      }),
      { numRuns: 150 },
    )
  })

  test('give what nix-store --dump gives', async () => {
    using dir = new TempDir()
    const from = readTree(dir.write('a', directory({ bin: directory({ app: file(random(5000, 1), true) }) })))
    const path = dir.write('b', directory({ bin: directory({ app: file(random(5001, 1)) }), l: link('bin/app') }))
    const to = readTree(path)
    const nar = await decode(chunksOf(await encode(from, to)), from, headerOf(from, to))
    expect(nar.equals(await dumpWithNix(path))).toBe(true)
  })

  test.each<[string, Tree, Tree]>([
    ['a file by a file', file(random(3000, 1)), file(random(3000, 1), true)],
    ['a file by a symlink', file('x'), link('y')],
    ['a symlink by a file', link('y'), file('x'.repeat(1000))],
    ['a file by a directory', file('x'), directory({ x: file('x') })],
    ['a directory by a file', directory({ x: file('x') }), file('x')],
    ['files by directories', directory({ a: file('1'), b: directory() }), directory({ a: directory(), b: file('1') })],
    ['an empty file by content', directory({ a: file('') }), directory({ a: file(text(900, 'new')) })],
    ['content by an empty file', directory({ a: file(text(900, 'old')) }), directory({ a: file('') })],
    ['nothing by empty directories', directory(), directory({ a: directory({ b: directory() }), c: directory() })],
    [
      'a tree by itself',
      directory({ a: file(random(70_000, 3)), b: file('') }),
      directory({ a: file(random(70_000, 3)), b: file('') }),
    ],
  ])('replace %s', async (_, base, target) => {
    using dir = new TempDir()
    await roundTrip(dir, base, target)
    await roundTrip(dir, target, base)
  })

  test('find files that were moved, renamed, or carry another version or store hash', async () => {
    using dir = new TempDir()
    const contents = [1, 2, 3, 4].map((seed) => random(40_000, seed))
    const [a, b, c, d] = contents.map((content) => file(content)) as [Tree, Tree, Tree, Tree]
    const base = directory({
      'lib-1.2': directory({ 'libfoo.so.1.2.3': a }),
      'iah2ssqwr7r48743cbcv36fnp35mfpms-app': b,
      share: directory({ moved: c }),
      top: d,
    })
    const target = directory({
      'lib-1.4': directory({ 'libfoo.so.1.10': a }),
      'r8vvq9kq18pz08v249h8my6r9vs7s0n3-app': b,
      other: directory({ deeper: directory({ moved: c }) }),
      top: d,
    })
    expect((await roundTrip(dir, base, target)).length).toBeLessThan(1000)
  })

  test('cost next to nothing where only store hashes differ', async () => {
    using dir = new TempDir()
    const tree = (hash: string): Tree =>
      directory(
        Object.fromEntries(
          Array.from({ length: 60 }, (_, i) => [
            `file-${i}`,
            file(
              Buffer.concat([random(20_000, i), Buffer.from(`/nix/store/${hash}-dep/bin`), random(20_000, i + 100)]),
            ),
          ]),
        ),
      )
    const delta = await roundTrip(
      dir,
      tree('iah2ssqwr7r48743cbcv36fnp35mfpms'),
      tree('r8vvq9kq18pz08v249h8my6r9vs7s0n3'),
    )
    expect(delta.length).toBeLessThan(0.01 * 60 * 40_000)
  })

  test('keep names and targets that are not text', async () => {
    using dir = new TempDir()
    const name = (...bytes: number[]): Buffer => Buffer.from(bytes)
    const base = sorted([[name(0xff, 0xfe), file(random(9000, 1))]])
    const target = sorted([
      [name(0xff, 0xfe), file(random(9001, 1))],
      [name(0xc3), link(name(0x80, 0x0a))],
      [name(0x0a, 0x80), directory()],
    ])
    await roundTrip(dir, base, target)
  })

  test('take many small new files together', async () => {
    using dir = new TempDir()
    const files = Array.from(
      { length: 3000 },
      (_, i) => [`f${i}`, file(text(1 + (i % 40), 'word'), i % 2 === 0)] as const,
    )
    const delta = await roundTrip(dir, directory(), directory(Object.fromEntries(files)))
    expect(delta.length).toBeLessThan(
      0.3 * readNar(readTree(dir.write('whole', directory(Object.fromEntries(files))))).length,
    )
  })

  test('take contents that zstd would read as a trained dictionary', async () => {
    using dir = new TempDir()
    const magic = Buffer.from('37a430ec', 'hex')
    const tree = (seed: number): Tree =>
      directory({
        a: file(Buffer.concat([magic, random(5000, 1), random(10, seed)])),
        b: file(Buffer.concat([magic, magic, magic])),
      })
    const delta = await roundTrip(dir, tree(2), tree(3))
    expect(delta.length).toBeLessThan(1000)
  })
})

describe('encodeDelta', () => {
  test('gives the same bytes each time', async () => {
    using dir = new TempDir()
    await fc.assert(
      fc.asyncProperty(anyPair, async ([base, target]) => {
        const name = `${Math.random()}`
        const from = readTree(dir.write(`${name}-1`, base))
        const to = readTree(dir.write(`${name}-2`, target))
        const again = readTree(dir.write(`${name}-3`, target))
        expect((await encode(from, to)).equals(await encode(from, again))).toBe(true)
      }),
      { numRuns: 30 },
    )
  })

  test('rejects before the end when the target is not what its hash says', async () => {
    using dir = new TempDir()
    const from = readTree(dir.write('a', file('a')))
    const to = { ...readTree(dir.write('b', file('b'))), narHash: from.narHash }
    await expect(encode(from, to)).rejects.toMatchObject({ code: 'nar-mismatch' })
  })

  test('rejects with nar-changed when a file of the target has changed, and with absent for the base', async () => {
    using dir = new TempDir()
    const from = readTree(dir.write('a', directory({ f: file(random(100_000, 1)) })))
    const to = readTree(dir.write('b', directory({ f: file(random(100_001, 1)) })))
    appendFileSync(join(dir.path, 'b/f'), 'more')
    await expect(encode(from, to)).rejects.toMatchObject({ code: 'nar-changed' })
    truncateSync(join(dir.path, 'b/f'), 100_001)
    renameSync(join(dir.path, 'a/f'), join(dir.path, 'a/g'))
    await expect(encode(from, to)).rejects.toMatchObject({ code: 'absent' })
  })

  test('rejects with absent for a tree deeper than Nix reads', async () => {
    using dir = new TempDir()
    const deep = (depth: number): Tree => (depth === 0 ? file('x') : directory({ d: deep(depth - 1) }))
    await roundTrip(dir, deep(62), deep(63))
    const from = readTree(dir.write('a', deep(63)))
    await expect(encode(from, readTree(dir.write('b', deep(64))))).rejects.toMatchObject({ code: 'absent' })
  })

  test('closes its files when it is closed early, and rejects from then on', async () => {
    using dir = new TempDir()
    const from = readTree(dir.write('a', file(random(9_000_000, 1))))
    const to = readTree(dir.write('b', file(random(20_000_000, 2))))
    const reader = encodeDelta(from, to)
    await reader.next()
    await reader.next()
    reader.close()
    reader.close()
    await expect(reader.next()).rejects.toMatchObject({ code: 'abandoned' })
    await untilClosed(dir.path)
    expect((await readAll(encodeDelta(from, to))).length).toBeGreaterThan(0)
    await untilClosed(dir.path)
  })
})

/** Files are closed by another thread. A file that stays open makes the test run out of time. */
async function untilClosed(dir: string): Promise<void> {
  while (openFilesBelow(dir).length > 0) await new Promise((resolve) => setImmediate(resolve))
}
