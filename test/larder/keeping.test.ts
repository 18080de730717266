import { readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readAll, readChunk, TestLarder } from './fixture.ts'
import type { MadeUpNar } from './stand-in-packer.ts'

const size = 100_000
/** Disk space of a file of that size, in whole blocks. */
const space = 102_400

const nameOf = (nar: MadeUpNar, recipe = 'zstd-3-1.5.7') =>
  `${nar.narHash.slice(7)}.${recipe}.${nar.fileHash.slice(7)}.${nar.fileSize}`

async function flipByte(path: string, at: number): Promise<void> {
  const bytes = await readFile(path)
  bytes[at]! ^= 1
  await writeFile(path, bytes)
}

describe('kept files', () => {
  test('are found again by a later run, with hash and size, and are not compressed again', async () => {
    await using test = await TestLarder.open()
    const nars = Array.from({ length: 5 }, (_, at) => test.packer.make(`app-${at}`, size * (at + 1)))
    for (const nar of nars) await test.larder.settle(nar)
    await test.reopen()
    for (const nar of nars) {
      expect(test.larder.find(nar.narHash)).toEqual({ fileHash: nar.fileHash, fileSize: nar.fileSize })
      const opened = await test.larder.open(nar)
      expect(opened.size).toBe(nar.fileSize)
      expect((await readAll(opened.chunks)).equals(nar.compressed)).toBe(true)
    }
    expect(test.packer.fills).toHaveLength(5)
    expect(test.larder.stats).toMatchObject({ files: 5, hits: 5, fills: 0 })
  })

  test('of which a range is asked give the slice', async () => {
    await using test = await TestLarder.open({ memoryBytes: 0 })
    const nars = [test.packer.make('small', 50_001), test.packer.make('large', 2_000_003)]
    for (const nar of nars) await test.larder.settle(nar)
    await test.reopen()
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...nars), fc.nat(), fc.nat(), async (nar, left, right) => {
        const [start, end] = [left % nar.fileSize, right % nar.fileSize].sort((a, b) => a - b) as [number, number]
        const body = await readAll(await test.larder.openRange(nar, { start, end: end + 1 }))
        expect(body.equals(nar.compressed.subarray(start, end + 1))).toBe(true)
      }),
      { numRuns: 100 },
    )
  })

  test('that were deleted behind our back are made again, and no client notices', async () => {
    await using test = await TestLarder.open({ memoryBytes: 0 })
    const nar = test.packer.make('app', size)
    await test.larder.settle(nar)
    await readAll((await test.larder.open(nar)).chunks)
    await rm(join(test.dir, nameOf(nar)))
    expect((await readAll((await test.larder.open(nar)).chunks)).equals(nar.compressed)).toBe(true)
    await test.larder.settle(nar)
    expect(test.packer.fills).toHaveLength(2)
    expect(test.larder.stats).toMatchObject({ files: 1, damaged: 1 })
  })

  test.each([50_000, size])(
    'that were truncated behind our back are made again, and no client notices (%d bytes)',
    async (fileSize) => {
      await using test = await TestLarder.open({ memoryBytes: 0 })
      const nar = test.packer.make('app', fileSize)
      await test.larder.settle(nar)
      await truncate(join(test.dir, nameOf(nar)), 40_000)
      expect(
        (await readAll(await test.larder.openRange(nar, { start: 30_000, end: fileSize }))).equals(
          nar.compressed.subarray(30_000),
        ),
      ).toBe(true)
      await test.larder.settle(nar)
      expect(test.packer.fills).toHaveLength(2)
      expect(await test.keptNames()).toEqual([nameOf(nar)])
    },
  )

  test('that are small and have rotten are made again, and no client notices', async () => {
    await using test = await TestLarder.open()
    const nar = test.packer.make('app', 5000)
    await test.larder.settle(nar)
    await flipByte(join(test.dir, nameOf(nar)), 4999)
    await test.reopen()
    expect((await readAll((await test.larder.open(nar)).chunks)).equals(nar.compressed)).toBe(true)
    expect(test.packer.fills).toHaveLength(2)
    expect(Buffer.from(test.larder.peek(nar.narHash)!).equals(nar.compressed)).toBe(true)
  })

  test('of other recipes are served to those who remember them, and only by that name', async () => {
    await using test = await TestLarder.open({ level: 9 })
    const [nar, small] = [test.packer.make('app', size), test.packer.make('small', 100)]
    await test.larder.settle(nar)
    await test.larder.settle(small)
    await test.reopen({ level: 3 })
    expect(test.larder.find(nar.narHash)).toBeUndefined()
    expect(test.larder.findKept(nar.narHash, 'zstd-9-1.5.7')).toEqual({ fileHash: nar.fileHash, fileSize: size })
    expect(test.larder.findKept(nar.narHash, 'zstd-3-1.5.7')).toBeUndefined()
    const opened = await test.larder.openKept(nar.narHash, 'zstd-9-1.5.7')
    expect((await readAll(opened!.chunks)).equals(nar.compressed)).toBe(true)
    const range = await test.larder.openKept(small.narHash, 'zstd-9-1.5.7', { start: 10, end: 20 })
    expect((await readAll(range!.chunks)).equals(small.compressed.subarray(10, 20))).toBe(true)
    expect(test.larder.peek(small.narHash)).toBeUndefined()
    expect(await test.larder.openKept(nar.narHash, 'zstd-9-1.4.0')).toBeUndefined()
  })
})

describe('eviction', () => {
  test('takes the least recently used file first, and one in use not at all', async () => {
    await using test = await TestLarder.open({ maxBytes: 3 * space })
    const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map((name) => test.packer.make(name, size)) as [
      MadeUpNar,
      MadeUpNar,
      MadeUpNar,
      MadeUpNar,
      MadeUpNar,
    ]
    for (const nar of [a, b, c]) {
      test.now += 10_000
      await test.larder.settle(nar)
    }
    test.now += 10_000
    await readAll((await test.larder.open(a)).chunks)
    const reader = (await test.larder.open(b)).chunks
    test.now += 10_000
    await test.larder.settle(d)
    expect(await test.keptNames()).toEqual([a, b, d].map((nar) => nameOf(nar)).sort())
    await test.larder.settle(e)
    expect(await test.keptNames()).toEqual([b, d, e].map((nar) => nameOf(nar)).sort())
    expect((await readAll(reader)).equals(b.compressed)).toBe(true)
    expect(test.larder.stats).toMatchObject({ files: 3, bytes: 3 * space, evictions: 2 })
  })

  test('remembers hash and size of what it took, so that narinfos stay as they are', async () => {
    await using test = await TestLarder.open({ maxBytes: space })
    const [a, b] = [test.packer.make('a', size), test.packer.make('b', size)]
    await test.larder.settle(a)
    await test.larder.settle(b)
    expect(await test.keptNames()).toEqual([nameOf(b)])
    expect(test.larder.find(a.narHash)).toEqual({ fileHash: a.fileHash, fileSize: size })
    const { size: announced, chunks } = await test.larder.open(a)
    expect(announced).toBe(size)
    expect((await readAll(chunks)).equals(a.compressed)).toBe(true)
  })

  test('takes files of other recipes before any of the current one', async () => {
    await using test = await TestLarder.open({ maxBytes: 2 * space, level: 9 })
    const [old, a, b] = [test.packer.make('old', size), test.packer.make('a', size), test.packer.make('b', size)]
    await test.larder.settle(old)
    await test.reopen({ maxBytes: 2 * space })
    await test.larder.settle(a)
    await readAll((await test.larder.openKept(old.narHash, 'zstd-9-1.5.7'))!.chunks)
    await test.larder.settle(b)
    expect(await test.keptNames()).toEqual([a, b].map((nar) => nameOf(nar)).sort())
  })

  test('goes by the times of the files after a restart, which use renews', async () => {
    await using test = await TestLarder.open()
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => test.packer.make(name, size)) as [
      MadeUpNar,
      MadeUpNar,
      MadeUpNar,
      MadeUpNar,
    ]
    for (const nar of [a, b, c]) await test.larder.settle(nar)
    const hour = 3600
    const times = { a: 3, b: 1, c: 2 }
    for (const [nar, age] of [
      [a, times.a],
      [b, times.b],
      [c, times.c],
    ] as const) {
      await utimes(join(test.dir, nameOf(nar)), 1_600_000_000, 1_600_000_000 - age * hour)
    }
    // The oldest by far is used once: that lasts over the restart.
    await test.reopen()
    await readAll((await test.larder.open(a)).chunks)
    await test.reopen({ maxBytes: 3 * space })
    expect((await stat(join(test.dir, nameOf(a)))).mtimeMs).toBe(test.now)
    await test.larder.settle(d)
    expect(await test.keptNames()).toEqual([a, b, d].map((nar) => nameOf(nar)).sort())
  })

  test('brings a larder down to a limit that was lowered', async () => {
    await using test = await TestLarder.open()
    for (const name of ['a', 'b', 'c', 'd']) await test.larder.settle(test.packer.make(name, size))
    await test.reopen({ maxBytes: 2 * space })
    await test.reopen({ maxBytes: 2 * space })
    expect(await test.keptNames()).toHaveLength(2)
  })

  test('keeps all files, growing ones included, within the limit at every step', async () => {
    await using test = await TestLarder.open({ maxBytes: 10 * space })
    for (let at = 0; at < 10; at++) await test.larder.settle(test.packer.make(`old-${at}`, size))
    test.packer.isByHand = true
    const nar = { ...test.packer.make('new', 5 * size), narSize: size }
    const started = test.packer.nextFill()
    const settled = test.larder.settle(nar)
    const fill = await started
    for (let written = 0; written <= 5 * size; written += 20_000) {
      fill.writeTo(written)
      expect(test.larder.stats.bytes).toBeLessThanOrEqual(10 * space)
    }
    fill.end('whole')
    await settled
    const sizes = await Promise.all(
      (await readdir(test.dir)).map(async (name) => (await stat(join(test.dir, name))).size),
    )
    expect(sizes.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(10 * space)
    expect(test.larder.find(nar.narHash)).toBeDefined()
    expect(await test.keptNames()).toContain(nameOf(nar))
  })

  test('does not happen for a NAR larger than the larder, which is compressed for each client alone', async () => {
    await using test = await TestLarder.open({ maxBytes: 3 * space })
    const old = test.packer.make('old', size)
    await test.larder.settle(old)
    const nar = test.packer.make('giant', 10 * size)
    expect((await readAll((await test.larder.open(nar)).chunks)).equals(nar.compressed)).toBe(true)
    expect(test.larder.find(nar.narHash)).toEqual({ fileHash: nar.fileHash, fileSize: nar.fileSize })
    expect(await test.keptNames()).toEqual([nameOf(old)])
    expect(
      (await readAll(await test.larder.openRange(nar, { start: size, end: 2 * size }))).equals(
        nar.compressed.subarray(size, 2 * size),
      ),
    ).toBe(true)
    expect(test.packer.fills).toHaveLength(1)
  })

  test('gives a compression up that outgrows the larder, and its readers go on where they are', async () => {
    await using test = await TestLarder.open({ maxBytes: 3 * space })
    test.packer.isByHand = true
    const nar = { ...test.packer.make('liar', 10 * size), narSize: size }
    const started = test.packer.nextFill()
    const { chunks } = await test.larder.open(nar)
    const fill = await started
    fill.writeTo(2 * size)
    const head = await readChunk(chunks)
    fill.writeTo(4 * size)
    const rest = await readAll(chunks)
    expect(Buffer.concat([head, rest]).equals(nar.compressed)).toBe(true)
    expect(test.packer.alone).toEqual([
      { narHash: nar.narHash, range: { start: expect.any(Number), end: Number.MAX_SAFE_INTEGER } },
    ])
    expect(await test.tempNames()).toEqual([])
    expect(await test.larder.settle(nar)).toEqual({ fileHash: nar.fileHash, fileSize: nar.fileSize })
    expect(test.packer.fills).toHaveLength(1)
  })

  test('is not for files being read: when they fill the larder, others are not kept', async () => {
    await using test = await TestLarder.open({ maxBytes: 2 * space })
    const [a, b, c] = [test.packer.make('a', size), test.packer.make('b', size), test.packer.make('c', size)]
    for (const nar of [a, b]) await test.larder.settle(nar)
    const readers = [(await test.larder.open(a)).chunks, (await test.larder.open(b)).chunks]
    expect((await readAll((await test.larder.open(c)).chunks)).equals(c.compressed)).toBe(true)
    expect(await test.keptNames()).toEqual([a, b].map((nar) => nameOf(nar)).sort())
    for (const reader of readers) reader.close()
    await readAll((await test.larder.open(c)).chunks)
    expect(await test.keptNames()).toContain(nameOf(c))
  })
})

describe('a larder of 0 bytes', () => {
  test('keeps nothing, makes no directory, and still serves and measures', async () => {
    await using test = await TestLarder.open({ maxBytes: 0 })
    const [nar, small] = [test.packer.make('app', size), test.packer.make('small', 1000)]
    expect((await readAll((await test.larder.open(nar)).chunks)).equals(nar.compressed)).toBe(true)
    expect(await test.larder.settle(small)).toEqual({ fileHash: small.fileHash, fileSize: 1000 })
    expect(Buffer.from(test.larder.peek(small.narHash)!).equals(small.compressed)).toBe(true)
    expect(test.packer.fills).toHaveLength(0)
    await expect(stat(test.dir)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('measures a NAR once for all who ask', async () => {
    await using test = await TestLarder.open({ maxBytes: 0 })
    const nar = test.packer.make('app', size)
    const opened = await test.larder.open(nar)
    const settled = Promise.all([test.larder.settle(nar), test.larder.settle(nar)])
    await readAll(opened.chunks)
    await settled
    expect(test.packer.alone).toHaveLength(1)
    const other = test.packer.make('other', size)
    await Promise.all([test.larder.settle(other), test.larder.settle(other)])
    expect(test.packer.alone).toHaveLength(2)
    expect(test.packer.chunksOut).toBe(0)
  })

  test('evicts what an earlier run kept', async () => {
    await using test = await TestLarder.open()
    await test.larder.settle(test.packer.make('app', size))
    await test.reopen({ maxBytes: 0 })
    await test.larder[Symbol.asyncDispose]()
    expect(await test.keptNames()).toEqual([])
  })
})
