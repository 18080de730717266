import { constants, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from '@jest/globals'
import type { BlockWriter } from '../../src/delta/block-writer.ts'
import { decodeDelta } from '../../src/delta/decode.ts'
import { encodeHeader, limits, maxDictionaryBytes } from '../../src/delta/format.ts'
import { compressFrame } from '../../src/delta/frames.ts'
import { directory, link, parseTree, TempDir } from '../nar/trees.ts'
import { craft, craftFile, decodeCrafted, header, MemoryFiles } from './craft.ts'
import { chunksOf, readAll, readTree } from './deltas.ts'

const none = Buffer.alloc(0)
const unusable = { name: 'Fault', code: 'delta-unusable' }
const base = Buffer.from('0123456789'.repeat(1000))

async function addFrame(block: BlockWriter, content: Buffer, announced = content.length): Promise<void> {
  const frame = await compressFrame(content, 3)
  block.instructions.compressed(announced, frame.length)
  block.addFrame(frame)
}

describe('decodeDelta', () => {
  test('carries out what a delta says', async () => {
    const dictionary = { path: Buffer.from('dir/f'), size: base.length, offset: 100, length: 5000 }
    using dir = new TempDir()
    const content = Buffer.concat([base.subarray(300, 900), Buffer.from('new')])
    const frame = await compressFrame(content, 12, base.subarray(100, 5100))
    const tree = directory({ a: { kind: 'regular', content, isExecutable: true }, b: link('a') })
    const { layout } = readTree(dir.write('tree', tree))
    const delta = await craft((block) => {
      block.instructions.directory(none)
      block.instructions.regular(Buffer.from('a'), content.length, true)
      block.instructions.compressed(content.length, frame.length, dictionary)
      block.addFrame(frame)
      block.instructions.symlink(Buffer.from('b'), Buffer.from('a'))
      block.instructions.leave()
    }, layout.narSize)
    const nar = await decodeCrafted(delta, new MemoryFiles({ 'dir/f': base }), layout.narSize)
    expect(parseTree(nar)).toEqual(tree)
  })

  test.each<[string, (block: BlockWriter) => unknown]>([
    ['no node', () => undefined],
    [
      'two tops',
      ({ instructions }) => [
        instructions.symlink(none, base.subarray(0, 5)),
        instructions.symlink(none, base.subarray(0, 5)),
      ],
    ],
    ['a named top', ({ instructions }) => instructions.directory(Buffer.from('x'))],
    ['an open directory', ({ instructions }) => instructions.directory(none)],
    ['a leave too many', ({ instructions }) => instructions.leave()],
    ['an unfinished file', ({ instructions }) => instructions.regular(none, 10, false)],
    ['content for no file', ({ instructions }) => [instructions.directory(none), instructions.same()]],
    ['a symlink without target', ({ instructions }) => instructions.symlink(none, none)],
    ['a symlink with NUL', ({ instructions }) => instructions.symlink(none, Buffer.from('a\0'))],
    ['a symlink that is too long', ({ instructions }) => instructions.symlink(none, Buffer.alloc(4096, 'a'))],
    [
      'a symlink in a file',
      ({ instructions }) => [
        instructions.directory(none),
        instructions.regular(Buffer.from('a'), 5, false),
        instructions.symlink(Buffer.from('b'), Buffer.from('b')),
      ],
    ],
    ['a file larger than the NAR', ({ instructions }) => instructions.regular(none, header.narSize + 1, false)],
    [
      'many nodes in each other',
      ({ instructions }) => [
        instructions.directory(none),
        ...Array.from({ length: 64 }, () => instructions.directory(Buffer.from('d'))),
      ],
    ],
  ])('rejects %s', async (_, write) => {
    await expect(decodeCrafted(await craft(write))).rejects.toMatchObject(unusable)
  })

  test.each<[string, ...Buffer[]]>([
    ['an empty name', none],
    ['"."', Buffer.from('.')],
    ['".."', Buffer.from('..')],
    ['a slash', Buffer.from('a/b')],
    ['NUL', Buffer.from('a\0')],
    ['256 bytes', Buffer.alloc(256, 'n')],
    ['one name twice', Buffer.from('a'), Buffer.from('a')],
    ['names in the wrong order', Buffer.from('b'), Buffer.from('a')],
    ['names sorted as text but not as bytes', Buffer.from([0xff]), Buffer.from([0x80])],
  ])('rejects names: %s', async (_, ...names) => {
    const delta = await craft(({ instructions }) => {
      instructions.directory(none)
      for (const name of names) instructions.symlink(name, Buffer.from('target'))
      instructions.leave()
    })
    await expect(decodeCrafted(delta)).rejects.toMatchObject(unusable)
  })

  test.each(['..', '.', '/etc/passwd', 'a/../b', 'a//b', 'a/', 'a\0b', 'a/.', '../a'])(
    'never asks the base for "%s"',
    async (path) => {
      const files = new MemoryFiles({ [path]: base })
      const range = { path: Buffer.from(path), size: base.length, offset: 0, length: base.length }
      const delta = await craftFile(base.length, ({ instructions }) => instructions.copy(range))
      await expect(decodeCrafted(delta, files)).rejects.toMatchObject(unusable)
      expect(files.opened).toEqual([])
    },
  )

  const range = { path: Buffer.from('f'), size: base.length, offset: 0, length: base.length }
  test.each<[string, number, (block: BlockWriter) => unknown]>([
    ['a base file that is not there', base.length, ({ instructions }) => instructions.same()],
    [
      'another size of a base file',
      10,
      ({ instructions }) => instructions.copy({ ...range, size: base.length + 1, length: 10 }),
    ],
    [
      'a range beyond a base file',
      10,
      ({ instructions }) => instructions.copy({ ...range, offset: base.length - 9, length: 10 }),
    ],
    [
      'an offset beyond all numbers',
      10,
      ({ instructions }) => instructions.copy({ ...range, offset: 2 ** 60, length: 10 }),
    ],
    ['a copy longer than the file', 10, ({ instructions }) => instructions.copy({ ...range, length: 11 })],
    [
      'more content than the file',
      10,
      ({ instructions }) => [instructions.copy({ ...range, length: 10 }), instructions.copy({ ...range, length: 1 })],
    ],
    ['a frame longer than the file', 10, (block) => addFrame(block, Buffer.alloc(11))],
    ['a frame that gives less', 10, (block) => addFrame(block, Buffer.alloc(9), 10)],
    ['a frame that gives more', 10, (block) => addFrame(block, Buffer.alloc(11), 10)],
    [
      'a frame above the limit',
      limits.pieceBytes + 1,
      ({ instructions }) => instructions.compressed(limits.pieceBytes + 1, 100),
    ],
    ['a frame longer than zstd makes any', 10, ({ instructions }) => instructions.compressed(10, 1000)],
    ['a frame that is missing', 10, ({ instructions }) => instructions.compressed(10, 30)],
    [
      'a dictionary too long for its content',
      10,
      ({ instructions }) => instructions.compressed(10, 30, { ...range, length: maxDictionaryBytes(10) + 1 }),
    ],
    ['content in small parts', 100_000, ({ instructions }) => instructions.copy({ ...range, length: 5000 })],
    ['no content at all', 10, ({ instructions }) => instructions.copy({ ...range, length: 0 })],
    ['a pool of nothing', 10, ({ instructions }) => instructions.fillPool(0, 9)],
    ['a pool above the limit', 10, ({ instructions }) => instructions.fillPool(limits.poolBytes + 1, 10)],
    ['an empty pool', 10, ({ instructions }) => instructions.fromPool()],
  ])('rejects %s', async (_, size, write) => {
    const files = new MemoryFiles({ f: base })
    await expect(decodeCrafted(await craftFile(size, write), files)).rejects.toMatchObject(unusable)
    expect(files.openCount).toBe(0)
  })

  test('rejects a pool that is not used up, and one filled twice', async () => {
    const frame = await compressFrame(Buffer.alloc(20), 3)
    const fill = (block: BlockWriter): void => {
      block.instructions.fillPool(20, frame.length)
      block.addFrame(frame)
    }
    const size = 96 + 16 + 24
    for (const fills of [1, 2]) {
      const delta = await craftFile(
        10,
        (block) => {
          for (let i = 0; i < fills; i++) fill(block)
          block.instructions.fromPool()
        },
        size,
      )
      await expect(decodeCrafted(delta, new MemoryFiles({}), size)).rejects.toMatchObject(unusable)
    }
  })

  test('rejects a frame that follows another, a skippable one, one with a window or a checksum, and a trained dictionary', async () => {
    const content = Buffer.alloc(500, 'c')
    const good = await compressFrame(content, 3)
    const params = { [constants.ZSTD_c_compressionLevel]: 3 }
    const frames = [
      Buffer.concat([good, good]),
      Buffer.concat([good, Buffer.alloc(1)]),
      Buffer.concat([Buffer.from('502a4d1804000000', 'hex'), Buffer.alloc(4), good]),
      zstdCompressSync(content, { params: { ...params, [constants.ZSTD_c_contentSizeFlag]: 0 } }),
      zstdCompressSync(content, { params: { ...params, [constants.ZSTD_c_checksumFlag]: 1 }, pledgedSrcSize: 500 }),
    ]
    for (const frame of frames) {
      const delta = await craftFile(content.length, (block) => {
        block.instructions.compressed(content.length, frame.length)
        block.addFrame(frame)
      })
      await expect(decodeCrafted(delta)).rejects.toMatchObject(unusable)
    }
    const trained = Buffer.concat([Buffer.from('37a430ec', 'hex'), Buffer.alloc(96)])
    const delta = await craftFile(content.length, (block) => {
      block.instructions.compressed(content.length, good.length, {
        path: Buffer.from('f'),
        size: 100,
        offset: 0,
        length: 100,
      })
      block.addFrame(good)
    })
    await expect(decodeCrafted(delta, new MemoryFiles({ f: trained }))).rejects.toMatchObject(unusable)
  })

  /** A frame that announces `length` bytes and gives `count` blocks of 128 KiB. */
  const bomb = (length: number, count: number): Buffer => {
    const opening = Buffer.from('28b52ffda000000000', 'hex')
    opening.writeUInt32LE(length, 5)
    return Buffer.concat([
      opening,
      ...Array<Buffer>(count).fill(Buffer.from('02001061', 'hex')),
      Buffer.from('03001061', 'hex'),
    ])
  }

  test('takes no memory for bombs: a frame of content, a block', async () => {
    const inFile = await craftFile(1000, (block) => {
      const frame = bomb(1000, 250)
      block.instructions.compressed(1000, frame.length)
      block.addFrame(frame)
    })
    const frame = bomb(100_000, 24_000)
    const sizes = Buffer.from(Uint32Array.of(100_000, frame.length).buffer)
    const before = process.memoryUsage.rss()
    for (const delta of [inFile, Buffer.concat([encodeHeader(header), sizes, frame])])
      await expect(decodeCrafted(delta)).rejects.toMatchObject(unusable)
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024)
  })

  test('rejects another delta than expected, another version, and sizes beyond all numbers', async () => {
    const delta = await craft(({ instructions }) => instructions.symlink(none, Buffer.from('t')))
    for (const [at, value] of [
      [0, 0x6e],
      [8, 2],
      [12, 1],
      [19, 0xff],
      [27, 0xff],
      [28, 0x11],
      [60, 0x11],
    ] as const) {
      const wrong = Buffer.from(delta)
      wrong[at] = value
      await expect(decodeCrafted(wrong)).rejects.toMatchObject(unusable)
    }
  })

  test("rejects what goes on after the end, and gives none of the NAR's last bytes then", async () => {
    const size = 24 + 80 + 16
    const delta = await craft(({ instructions }) => instructions.symlink(none, Buffer.from('t')), size)
    const whole = await decodeCrafted(delta, undefined, size)
    expect(parseTree(whole)).toMatchObject({ kind: 'symlink' })
    const reader = decodeDelta(chunksOf(Buffer.concat([delta, Buffer.alloc(1)])), new MemoryFiles({}), {
      ...header,
      narSize: size,
    })
    await expect(reader.next()).rejects.toMatchObject(unusable)
  })

  test("passes on the fault of the delta's reader, closes it, and closes the base's files", async () => {
    const files = new MemoryFiles({ f: base })
    const delta = await craft(({ instructions }) => {
      instructions.directory(none)
      instructions.regular(Buffer.from('f'), base.length, false)
      instructions.same()
    })
    let closed = 0
    const inner = chunksOf(delta.subarray(0, -4))
    const failing = {
      next: async () => (await inner.next()) ?? Promise.reject(new Error('The line was cut')),
      close: () => void closed++,
    }
    await expect(readAll(decodeDelta(failing, files, header))).rejects.toThrow('The line was cut')
    expect(closed).toBeGreaterThan(0)
    expect(files.openCount).toBe(0)
  })

  test('stops waiting for the delta when it is closed', async () => {
    let stop: (error: Error) => void = () => undefined
    const stalled = {
      next: () => new Promise<undefined>((_, reject) => (stop = reject)),
      close: () => stop(new Error('closed')),
    }
    const reader = decodeDelta(stalled, new MemoryFiles({}), header)
    const pending = reader.next()
    await new Promise((resolve) => setImmediate(resolve))
    reader.close()
    await expect(pending).rejects.toThrow()
    await expect(reader.next()).rejects.toMatchObject({ code: 'abandoned' })
  })
})
