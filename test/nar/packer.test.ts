import { appendFileSync, existsSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { ByteRange, ChunkReader } from '../../src/chunks.ts'
import type { Log } from '../../src/log.ts'
import type { NarRequest, Packer } from '../../src/nar/contract.ts'
import { openPacker } from '../../src/nar/packer.ts'
import { directory, dumpWithNix, file, link, openFilesBelow, requestFor, TempDir } from './trees.ts'

async function readAll(reader: ChunkReader): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let chunk = await reader.next(); chunk; chunk = await reader.next()) {
    parts.push(Buffer.from(chunk.bytes))
    chunk.release()
  }
  return Buffer.concat(parts)
}

async function countAll(reader: ChunkReader): Promise<number> {
  let bytes = 0
  for (let chunk = await reader.next(); chunk; chunk = await reader.next()) {
    bytes += chunk.bytes.length
    chunk.release()
  }
  return bytes
}

const tree = directory({
  bin: directory({ a: file('x'.repeat(70), true), large: file(Buffer.alloc(3_000_000, 'abcdefg')) }),
  empty: file(''),
  l: link('bin/a'),
})
const bigFileBytes = 40_000_000

describe('a packer', () => {
  let dir: TempDir
  let packer: Packer
  let nar: Buffer
  let request: NarRequest
  let big: NarRequest
  beforeAll(async () => {
    dir = new TempDir()
    packer = openPacker()
    const path = dir.write('x', tree)
    nar = await dumpWithNix(path)
    request = requestFor(path, nar)
    const bigPath = dir.write('big', directory({ big: file(Buffer.alloc(bigFileBytes, 'burrow')) }))
    big = requestFor(bigPath, await dumpWithNix(bigPath))
  })
  afterAll(async () => {
    await packer[Symbol.asyncDispose]()
    dir[Symbol.dispose]()
  })

  test('returns the bytes of nix-store --dump', async () => {
    expect((await readAll(packer.openNar(request))).equals(nar)).toBe(true)
    expect((await readAll(packer.openNar(request))).equals(nar)).toBe(true)
  })

  test('returns a small NAR in one chunk', async () => {
    const path = dir.write('small', file('small'))
    const whole = await dumpWithNix(path)
    const reader = packer.openNar(requestFor(path, whole))
    const chunk = await reader.next()
    expect(Buffer.from(chunk!.bytes).equals(whole)).toBe(true)
    chunk!.release()
    expect(await reader.next()).toBeUndefined()
    expect(await reader.next()).toBeUndefined()
  })

  test('returns any range', async () => {
    const ranges: ByteRange[] = [0, 1, 100, 1000, 2_500_000, nar.length - 1].map((start) => ({
      start,
      end: Math.min(nar.length, start + 600_001),
    }))
    for (const range of ranges)
      expect((await readAll(packer.openNar(request, range))).equals(nar.subarray(range.start, range.end))).toBe(true)
  })

  test('rejects a range that is empty or outside the NAR', () => {
    for (const range of [
      { start: 0, end: nar.length + 1 },
      { start: 5, end: 5 },
      { start: -1, end: 5 },
      { start: 0.5, end: 5 },
    ])
      expect(() => packer.openNar(request, range)).toThrow(expect.objectContaining({ name: 'RangeError' }))
  })

  test('serves many readers at once', async () => {
    const all = await Promise.all(Array.from({ length: 60 }, () => readAll(packer.openNar(request))))
    expect(all.every((bytes) => bytes.equals(nar))).toBe(true)
  })

  test('sends nothing of a NAR whose size does not match the record', async () => {
    await expect(packer.openNar({ ...request, narSize: request.narSize + 8 }).next()).rejects.toMatchObject({
      code: 'nar-mismatch',
    })
  })

  test('never completes a NAR whose hash does not match the record', async () => {
    const reader = packer.openNar({ ...request, narHash: big.narHash })
    const sizes: number[] = []
    const read = async () => {
      for (let chunk = await reader.next(); chunk; chunk = await reader.next()) {
        sizes.push(chunk.bytes.length)
        chunk.release()
      }
    }
    await expect(read()).rejects.toMatchObject({ code: 'nar-mismatch' })
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(nar.length)
  })

  test('detects changed content behind a cached layout', async () => {
    const path = dir.write('changing', directory({ a: directory({ f: file('one') }), b: file('b') }))
    const before = requestFor(path, await dumpWithNix(path))
    await readAll(packer.openNar(before))
    writeFileSync(join(path, 'a', 'f'), 'two')
    await expect(readAll(packer.openNar(before))).rejects.toMatchObject({ code: 'nar-mismatch' })
    appendFileSync(join(path, 'a', 'f'), 'and more')
    await expect(readAll(packer.openNar(before, { start: 8, end: before.narSize }))).rejects.toMatchObject({
      code: expect.stringMatching(/^nar-/),
    })
    // The original is back: served again.
    rmSync(path, { recursive: true })
    dir.write('changing', directory({ a: directory({ f: file('one') }), b: file('b') }))
    await readAll(packer.openNar(before))
  })

  const changes: Readonly<Record<string, (path: string) => void>> = {
    truncated: (path) => truncateSync(path, bigFileBytes - 10),
    grown: (path) => appendFileSync(path, 'more'),
  }
  test.each(Object.keys(changes))('aborts a transfer whose file is %s meanwhile', async (how) => {
    const path = dir.write(`meanwhile-${how}`, directory({ big: file(Buffer.alloc(bigFileBytes, 'burrow')) }))
    const reader = packer.openNar({ ...big, realPath: path })
    const first = await reader.next()
    changes[how]!(join(path, 'big'))
    first!.release()
    await expect(readAll(reader)).rejects.toMatchObject({ code: 'nar-changed' })
    expect(openFilesBelow(path)).toEqual([])
  })

  test('finishes a transfer from the open file when the file was removed or moved meanwhile', async () => {
    const path = dir.write('removed', directory({ big: file(Buffer.alloc(bigFileBytes, 'burrow')) }))
    const reader = packer.openNar({ ...big, realPath: path })
    const first = await reader.next()
    renameSync(path, `${path}.gone`)
    rmSync(`${path}.gone`, { recursive: true })
    const length = first!.bytes.length
    first!.release()
    expect(length + (await readAll(reader)).length).toBe(big.narSize)
  })

  test('detects a file replaced by a directory', async () => {
    const path = dir.write('kinds', directory({ a: file('a') }))
    const before = requestFor(path, await dumpWithNix(path))
    await readAll(packer.openNar(before))
    rmSync(join(path, 'a'))
    mkdirSync(join(path, 'a'))
    await expect(readAll(packer.openNar(before))).rejects.toMatchObject({ code: expect.stringMatching(/^nar-/) })
  })

  test('stops packing for a reader that does not consume its chunks, and serves others meanwhile', async () => {
    const stuck = Array.from({ length: 40 }, () => packer.openNar(big))
    const taken = await Promise.all(stuck.map((reader) => reader.next()))
    expect((await readAll(packer.openNar(request))).equals(nar)).toBe(true)
    const queued = stuck.map(async (reader, index) => {
      taken[index]!.release()
      return taken[index]!.bytes.length + (await countAll(reader))
    })
    expect(await Promise.all(queued)).toEqual(stuck.map(() => big.narSize))
  }, 120_000)

  test('serves new readers beside a thousand stalled ones', async () => {
    const stuck = Array.from({ length: 1000 }, () => packer.openNar(big))
    const taken = await Promise.all(stuck.map((reader) => reader.next()))
    expect((await readAll(packer.openNar(request))).equals(nar)).toBe(true)
    for (const chunk of taken) chunk!.release()
    for (const reader of stuck) reader.close()
    await readAll(packer.openNar(request))
    // The closed readers were processed before this request.
    expect(openFilesBelow(big.realPath)).toEqual([])
  }, 120_000)

  test('keeps a chunk unchanged after close, until its release', async () => {
    const reader = packer.openNar(big)
    const chunk = await reader.next()
    const copy = Buffer.from(chunk!.bytes)
    reader.close()
    for (let i = 0; i < 4; i++) await readAll(packer.openNar(request))
    expect(copy.equals(chunk!.bytes)).toBe(true)
    chunk!.release()
    await expect(reader.next()).rejects.toMatchObject({ code: 'abandoned' })
    reader.close()
  })

  test('closes the files of a closed reader', async () => {
    const reader = packer.openNar(big)
    await reader.next()
    reader.close()
    await readAll(packer.openNar(request))
    expect(openFilesBelow(big.realPath)).toEqual([])
  })
})

test('a closed packer ends its transfers, closes their files and accepts no more', async () => {
  using dir = new TempDir()
  const path = dir.write('x', directory({ big: file(Buffer.alloc(bigFileBytes, 'burrow')) }))
  const request = { realPath: path, narHash: `sha256:${'0'.repeat(52)}`, narSize: 280 + bigFileBytes }
  const packer = openPacker()
  const readers = [packer.openNar(request), packer.openNar(request)]
  const chunks = await Promise.all(readers.map((reader) => reader.next()))
  const fill = packer.fill(request, 3, join(dir.path, 'temp'))
  const waiting = Promise.all([
    expect(fill.done).rejects.toMatchObject({ code: 'abandoned' }),
    expect(packer.listJson(path)).rejects.toMatchObject({ code: 'abandoned' }),
  ])
  await packer[Symbol.asyncDispose]()
  await waiting
  expect(openFilesBelow(dir.path)).toEqual([])
  expect(existsSync(join(dir.path, 'temp'))).toBe(false)
  for (const reader of readers) await expect(reader.next()).rejects.toMatchObject({ code: 'abandoned' })
  await expect(packer.openNar(request).next()).rejects.toMatchObject({ code: 'abandoned' })
  await expect(packer.fill(request, 3, join(dir.path, 'temp')).done).rejects.toMatchObject({ code: 'abandoned' })
  for (const chunk of chunks) chunk!.release()
  await packer[Symbol.asyncDispose]()
})

test('a packer whose thread exits unexpectedly fails its jobs, logs it, and starts a new thread', async () => {
  using dir = new TempDir()
  const path = dir.write('x', directory({ big: file(Buffer.alloc(bigFileBytes, 'burrow')) }))
  const request = { realPath: path, narHash: `sha256:${'0'.repeat(52)}`, narSize: 280 + bigFileBytes }
  const small = dir.write('small', file('small'))
  const errors: string[] = []
  const log: Log = { debug() {}, info() {}, warn() {}, error: (_, message) => void errors.push(message) }
  await using packer = openPacker({ log })
  const reader = packer.openNar(request)
  const chunk = await reader.next()
  const fill = packer.fill(request, 3, join(dir.path, 'temp'))
  // A request that the types do not allow crashes the thread.
  const crash = packer.fill(undefined as never, 3, join(dir.path, 'other'))
  await expect(crash.done).rejects.toMatchObject({ code: 'busy' })
  await expect(fill.done).rejects.toMatchObject({ code: 'busy' })
  await expect(reader.next()).rejects.toMatchObject({ code: 'busy' })
  expect(errors).toHaveLength(1)
  expect(existsSync(join(dir.path, 'temp'))).toBe(false)
  chunk!.release()
  const whole = await dumpWithNix(small)
  expect((await readAll(packer.openNar(requestFor(small, whole)))).equals(whole)).toBe(true)
})

test('a packer rejects one reader too many with busy', async () => {
  using dir = new TempDir()
  const path = dir.write('x', file('x'))
  const request = requestFor(path, await dumpWithNix(path))
  await using packer = openPacker({ maxReaders: 1 })
  const first = packer.openNar(request)
  await expect(packer.openNar(request).next()).rejects.toMatchObject({ code: 'busy' })
  await readAll(first)
  await readAll(packer.openNar(request))
})
