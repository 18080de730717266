/**
 * Kept files that rot or are changed, at each moment of their use: before the start, after they were read, and under a
 * reader.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { chmod, mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterEach, describe, expect, jest, test } from '@jest/globals'

import type { FileStamp } from '../../src/disk/file-stamp.ts'
import { OpenFile } from '../../src/disk/open-files.ts'
import { readAll, readChunk, TestLarder } from './fixture.ts'
import type { MadeUpNar } from './stand-in-packer.ts'

const size = 4_000_000
const tenMinutesMs = 600_000

const nameOf = (nar: MadeUpNar) => `${nar.narHash.slice(7)}.zstd-3-1.5.7.${nar.fileHash.slice(7)}.${nar.fileSize}`

/** In place, at once. */
function flipByte(path: string, at: number): void {
  const fd = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, at)
  byte[0]! ^= 1
  writeSync(fd, byte, 0, 1, at)
  closeSync(fd)
}

/** What no program can do to a file: its bytes change and its times do not. */
function stopFileTimes(): void {
  const real = OpenFile.prototype.stamp
  const stamps = new Map<number, FileStamp>()
  jest.spyOn(OpenFile.prototype, 'stamp').mockImplementation(function (this: OpenFile) {
    const stamp = real.call(this)
    const first = stamps.get(stamp.inode) ?? { ...stamp, changedMs: stamp.changedMs - 1000 }
    stamps.set(stamp.inode, first)
    return first
  })
}

afterEach(() => void jest.restoreAllMocks())

type Part = { readonly start: number; readonly end: number } | undefined
const parts: readonly (readonly [string, Part])[] = [
  ['the whole', undefined],
  ['a range that holds the damage', { start: 2_000_000, end: 3_000_000 }],
  ['a range that does not', { start: 10, end: 1000 }],
  ['the whole as a range', { start: 0, end: size }],
]

async function openPart({ larder }: TestLarder, nar: MadeUpNar, part: Part) {
  return part === undefined ? (await larder.open(nar)).chunks : await larder.openRange(nar, part)
}

const read = async (test: TestLarder, nar: MadeUpNar, part: Part) => readAll(await openPart(test, nar, part))

/** Takes what comes and goes on after it when the transfer breaks, as a client that resumes does. */
async function splice(test: TestLarder, nar: MadeUpNar, onChunk: (taken: number) => void = () => {}): Promise<Buffer> {
  let taken = Buffer.alloc(0)
  for (let tries = 0; tries < 10; tries++) {
    const reader = await openPart(
      test,
      nar,
      taken.length === 0 ? undefined : { start: taken.length, end: nar.fileSize },
    )
    try {
      for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
        taken = Buffer.concat([taken, chunk.bytes])
        chunk.release()
        onChunk(taken.length)
      }
      return taken
    } catch {
      // Goes on where it broke.
    }
  }
  throw new Error('It breaks again and again')
}

async function openWithKept(fileSize = size): Promise<{ test: TestLarder; nar: MadeUpNar; path: string }> {
  const test = await TestLarder.open({ memoryBytes: 0 })
  const nar = test.packer.make('app', fileSize)
  await test.larder.settle(nar)
  return { test, nar, path: join(test.dir, nameOf(nar)) }
}

async function expectMadeAgain(test: TestLarder, nar: MadeUpNar): Promise<void> {
  await test.larder.settle(nar)
  expect(test.packer.fills).toHaveLength(2)
  expect(test.larder.stats).toMatchObject({ files: 1, damaged: 1 })
  expect(
    test.log.lines.filter(
      ({ level, message }) => level === 'warn' && message.includes('is missing, truncated or damaged'),
    ),
  ).toHaveLength(1)
  expect((await read(test, nar, undefined)).equals(nar.compressed)).toBe(true)
  expect(await test.keptNames()).toEqual([nameOf(nar)])
}

describe.each(parts)('of %s', (_what, part) => {
  const slice = (nar: MadeUpNar) => nar.compressed.subarray(part?.start, part?.end)

  test('no byte goes out from a file that was changed while Burrow was down: it is made again for the same reader', async () => {
    const { test, nar, path } = await openWithKept()
    await using _test = test
    flipByte(path, 2_500_000)
    await test.reopen({ memoryBytes: 0 })
    expect((await read(test, nar, part)).equals(slice(nar))).toBe(true)
    await expectMadeAgain(test, nar)
  })

  test.each(['before it was ever read', 'after it was read'])(
    'no byte goes out from a file that is changed %s: it is made again for the same reader',
    async (when) => {
      const { test, nar, path } = await openWithKept()
      await using _test = test
      if (when === 'after it was read') await read(test, nar, undefined)
      flipByte(path, 2_500_000)
      expect((await read(test, nar, part)).equals(slice(nar))).toBe(true)
      await expectMadeAgain(test, nar)
    },
  )

  test('rot that leaves no trace breaks the transfer before its last chunk when the last reading is ten minutes old', async () => {
    const { test, nar, path } = await openWithKept()
    await using _test = test
    stopFileTimes()
    await read(test, nar, undefined)
    flipByte(path, 2_500_000)
    test.now += tenMinutesMs
    await expect(read(test, nar, part)).rejects.toMatchObject({ code: 'larder-damaged' })
    await expectMadeAgain(test, nar)
  })
})

describe('under its reader', () => {
  test.each([
    ['just written', 0, false],
    ['read lately', 0, true],
    ['read long ago', tenMinutesMs, true],
  ])(
    'a file, %s, that is changed breaks the transfer, before a byte of the change goes out',
    async (_what, laterMs, isRead) => {
      const { test, nar, path } = await openWithKept()
      await using _test = test
      if (isRead) await read(test, nar, undefined)
      test.now += laterMs
      const readers = [await openPart(test, nar, undefined), await openPart(test, nar, { start: 1000, end: size })]
      for (const reader of readers) await readChunk(reader)
      flipByte(path, size - 10)
      flipByte(path, 5)
      for (const reader of readers) await expect(readAll(reader)).rejects.toMatchObject({ code: 'larder-damaged' })
      await expectMadeAgain(test, nar)
    },
  )

  test('a file that grows and is changed breaks whole transfers and ranges, and is not kept', async () => {
    await using test = await TestLarder.open()
    test.packer.isByHand = true
    const nar = test.packer.make('app', size)
    const started = test.packer.nextFill()
    const readers = [await openPart(test, nar, undefined), await openPart(test, nar, { start: 1000, end: size })]
    const fill = await started
    fill.writeTo(1_000_000)
    for (const reader of readers) await readChunk(reader)
    fill.writeTo(3_000_000)
    flipByte(fill.path, 2_900_000)
    const read = Promise.allSettled(readers.map(readAll))
    fill.end('whole')
    expect((await read).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    test.packer.isByHand = false
    await expectMadeAgain(test, nar)
  })

  test('a file that a backup program touches is read again, and neither broken off nor dropped', async () => {
    const { test, nar, path } = await openWithKept()
    await using _test = test
    await read(test, nar, undefined)
    const reader = await openPart(test, nar, undefined)
    const first = await readChunk(reader)
    await chmod(path, 0o640)
    await utimes(path, 1_600_000_000, 1_600_000_000)
    expect(Buffer.concat([first, await readAll(reader)]).equals(nar.compressed)).toBe(true)
    expect(test.larder.stats).toMatchObject({ files: 1, damaged: 0 })
    expect(test.packer.fills).toHaveLength(1)
  })
})

test('a client that resumes never splices a wrong file, whenever the kept file is changed', async () => {
  for (let at = 0; at < 24; at++) {
    const { test, nar, path } = await openWithKept()
    await using _test = test
    if (at % 3 === 0) await test.reopen({ memoryBytes: 0 })
    if (at % 3 === 1) await read(test, nar, undefined)
    const changeAt = (at * size) / 24
    let isChanged = false
    const spliced = await splice(test, nar, (taken) => {
      if (isChanged || taken < changeAt) return
      isChanged = true
      flipByte(path, Math.min(size - 1, (at * 7919 * 541) % size))
    })
    expect(spliced.equals(nar.compressed)).toBe(true)
  }
})

test('small files are read against their hash each time, and what is in memory stays right whatever becomes of the file', async () => {
  const { test, nar, path } = await openWithKept(5000)
  await using _test = test
  flipByte(path, 4999)
  expect((await read(test, nar, undefined)).equals(nar.compressed)).toBe(true)
  await test.larder.settle(nar)
  flipByte(path, 0)
  expect((await read(test, nar, { start: 0, end: 10 })).equals(nar.compressed.subarray(0, 10))).toBe(true)
  await test.reopen()
  await read(test, nar, undefined)
  flipByte(path, 1)
  expect(Buffer.from(test.larder.peek(nar.narHash)!).equals(nar.compressed)).toBe(true)
  expect((await read(test, nar, { start: 0, end: 10 })).equals(nar.compressed.subarray(0, 10))).toBe(true)
})

test.each(['empty', 'full'])('an %s directory in the place of a kept file gives way to the file', async (what) => {
  const { test, nar, path } = await openWithKept()
  await using _test = test
  await test.reopen({ memoryBytes: 0 })
  await test.larder[Symbol.asyncDispose]()
  await rm(path)
  await mkdir(path)
  if (what === 'full') await writeFile(join(path, 'note'), 'x')
  await test.reopen({ memoryBytes: 0 })
  expect((await read(test, nar, undefined)).equals(nar.compressed)).toBe(true)
  await test.larder.settle(nar)
  expect(await test.keptNames()).toEqual([nameOf(nar)])
  expect((await readdir(test.dir, { withFileTypes: true })).filter((entry) => entry.isDirectory())).toEqual([])
  await test.reopen({ memoryBytes: 0 })
  expect((await read(test, nar, undefined)).equals(nar.compressed)).toBe(true)
})
