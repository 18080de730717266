import {
  appendFileSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Layout } from '../../src/nar/layout.ts'
import { NarReader } from '../../src/nar/nar-reader.ts'
import { findLayout } from './find-layout.ts'
import { directory, dumpWithNix, file, link, openFilesBelow, TempDir } from './trees.ts'

const tree = directory({
  bin: directory({ a: file('x'.repeat(70), true), deep: directory({ e: directory(), f: file('ff') }) }),
  empty: file(''),
  l: link('bin/a'),
  z: file('0123456789abcdef'),
})

function readRange(layout: Layout, start: number, end: number, pieceBytes: number): Buffer {
  const reader = new NarReader(layout, start, end)
  const parts: Buffer[] = []
  while (reader.remaining > 0) {
    const piece = Buffer.alloc(pieceBytes)
    parts.push(piece.subarray(0, reader.read(piece)))
  }
  return Buffer.concat(parts)
}

describe('a range of a NAR', () => {
  let dir: TempDir
  let layout: Layout
  let nar: Buffer
  beforeAll(async () => {
    dir = new TempDir()
    const path = dir.write('x', tree)
    layout = findLayout(path)
    nar = await dumpWithNix(path)
  })
  afterAll(() => dir[Symbol.dispose]())

  test('equals the slice of the whole, from each offset to the end', () => {
    for (let start = 0; start < nar.length; start++)
      expect(readRange(layout, start, nar.length, 4096).equals(nar.subarray(start))).toBe(true)
  })

  test('equals the slice of the whole, byte by byte and for each end', () => {
    for (let end = 1; end <= nar.length; end += 7)
      expect(readRange(layout, 0, end, 1 + (end % 9)).equals(nar.subarray(0, end))).toBe(true)
  })

  test('equals the slice of the whole for any range and piece size', () => {
    const range = fc
      .tuple(fc.nat(nar.length - 1), fc.nat(nar.length - 1))
      .map(([a, b]) => [Math.min(a, b), Math.max(a, b) + 1] as const)
    fc.assert(
      fc.property(range, fc.integer({ min: 1, max: 200 }), ([start, end], pieceBytes) =>
        readRange(layout, start, end, pieceBytes).equals(nar.subarray(start, end)),
      ),
      { numRuns: 1000 },
    )
    expect(openFilesBelow(dir.path)).toEqual([])
  })
})

test('a range near the end of a NAR over 4 GiB is read by seeking', () => {
  using dir = new TempDir()
  const size = 4 * 1024 ** 3 + 5
  const path = dir.write('x', directory({ big: file(''), z: file('end') }))
  const fd = openSync(join(path, 'big'), 'w')
  ftruncateSync(fd, size)
  writeSync(fd, 'hello', size - 5)
  closeSync(fd)
  const layout = findLayout(path)
  // The same size and padding, and the same entries after it.
  const smallLayout = findLayout(dir.write('y', directory({ big: file('hello'), z: file('end') })))
  expect(layout.narSize - smallLayout.narSize).toBe(4 * 1024 ** 3)
  const length = smallLayout.narSize - smallLayout.contentStart(1)
  const like = readRange(smallLayout, smallLayout.narSize - length, smallLayout.narSize, 64)
  expect(readRange(layout, layout.narSize - length, layout.narSize, 64).equals(like)).toBe(true)
  const contentStart = layout.contentStart(1)
  const content = readRange(layout, contentStart - 8, contentStart + 8, 5)
  expect(content.readBigUInt64LE(0)).toBe(BigInt(size))
  expect(readRange(layout, contentStart + size - 5, contentStart + size + 3, 100).toString('latin1')).toBe(
    'hello\0\0\0',
  )
})

const changes: Readonly<Record<string, (path: string, dir: string) => void>> = {
  grown: (path) => appendFileSync(path, 'more'),
  truncated: (path) => truncateSync(path, 20),
  emptied: (path) => truncateSync(path, 0),
  vanished: (path) => rmSync(path),
  'replaced by a directory': (path) => {
    rmSync(path)
    mkdirSync(path)
  },
  'replaced by a symlink to the same content': (path, dir) => {
    renameSync(path, join(dir, 'moved'))
    symlinkSync(join(dir, 'moved'), path)
  },
  'in a directory that was replaced by a symlink': (path, dir) => {
    renameSync(join(path, '..'), join(dir, 'moved'))
    symlinkSync(join(dir, 'moved'), join(path, '..'))
  },
}

describe.each(Object.keys(changes))('a file that is %s', (how) => {
  test.each([
    ['in one call', 10_000],
    ['in many calls', 16],
  ])('is a fault when read %s, and leaves no file open', (_, pieceBytes) => {
    using dir = new TempDir()
    const path = dir.write('x', tree)
    const layout = findLayout(path)
    changes[how]!(join(path, 'bin', 'a'), dir.path)
    expect(() => readRange(layout, 0, layout.narSize, pieceBytes)).toThrow(
      expect.objectContaining({ code: 'nar-changed' }),
    )
    expect(openFilesBelow(dir.path)).toEqual([])
  })
})

test.each([
  ['grows', (path: string) => appendFileSync(path, 'more')],
  ['shrinks', (path: string) => truncateSync(path, 40)],
])('a file that %s while it is read in pieces causes a fault and is closed', (_, change) => {
  using dir = new TempDir()
  const path = dir.write('x', tree)
  const layout = findLayout(path)
  const start = layout.contentStart(2)
  const reader = new NarReader(layout, start)
  const piece = Buffer.alloc(30)
  expect(reader.read(piece)).toBe(30)
  expect(openFilesBelow(dir.path)).toHaveLength(1)
  change(join(path, 'bin', 'a'))
  expect(() => {
    while (reader.remaining > 0) reader.read(piece)
  }).toThrow(expect.objectContaining({ code: 'nar-changed' }))
  expect(openFilesBelow(dir.path)).toEqual([])
})

test('a reader closed in the middle of a file closes the file', () => {
  using dir = new TempDir()
  const layout = findLayout(dir.write('x', tree))
  const reader = new NarReader(layout, layout.contentStart(2))
  reader.read(Buffer.alloc(10))
  reader.close()
  expect(openFilesBelow(dir.path)).toEqual([])
})
