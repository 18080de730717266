import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { constants, createZstdCompress, zstdDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { ChunkReader } from '../../src/chunks.ts'
import type { NarRequest, Packer } from '../../src/nar/contract.ts'
import { openPacker } from '../../src/nar/packer.ts'
import { encodeNix32 } from '../../src/nix/nix32.ts'
import { directory, dumpWithNix, file, openFilesBelow, requestFor, TempDir } from './trees.ts'

async function readAll(reader: ChunkReader): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let chunk = await reader.next(); chunk; chunk = await reader.next()) {
    parts.push(Buffer.from(chunk.bytes))
    chunk.release()
  }
  return Buffer.concat(parts)
}

/** Compresses like any zstd stream with a pledged size, whatever the input pieces. */
async function compressInPieces(nar: Buffer, level: number, pieceBytes: number, chunkSize: number): Promise<Buffer> {
  const zstd = createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: level },
    pledgedSrcSize: nar.length,
    chunkSize,
  })
  const parts: Buffer[] = []
  zstd.on('data', (bytes: Buffer) => parts.push(bytes))
  for (let at = 0; at < nar.length; at += pieceBytes)
    await new Promise<void>((resolve) => zstd.write(nar.subarray(at, at + pieceBytes), () => resolve()))
  zstd.end()
  await once(zstd, 'end')
  return Buffer.concat(parts)
}

const sha256 = (bytes: Uint8Array) => `sha256:${encodeNix32(createHash('sha256').update(bytes).digest())}`
/** About half of the bytes are compressible. */
const mixed = (bytes: number) => Buffer.concat([randomBytes(bytes / 2), Buffer.alloc(bytes / 2, 'burrow and larder ')])

describe('compression', () => {
  let dir: TempDir
  let packer: Packer
  let count = 0
  beforeAll(() => {
    dir = new TempDir()
    packer = openPacker()
  })
  afterAll(async () => {
    await packer[Symbol.asyncDispose]()
    expect(openFilesBelow(dir.path)).toEqual([])
    dir[Symbol.dispose]()
  })

  async function make(content: Buffer): Promise<{ request: NarRequest; nar: Buffer }> {
    const path = dir.write(`x${count++}`, directory({ content: file(content) }))
    const nar = await dumpWithNix(path)
    return { request: requestFor(path, nar), nar }
  }
  const temp = () => join(dir.path, `temp${count++}`)

  // 262144 and similar sizes are where zstdCompressSync and a stream differ.
  test.each([8, 20_000, 262_144 - 280, 524_288 - 280, 3_000_000])(
    'of %i bytes gives the same bytes to a file, to a reader and to any stream',
    async (bytes) => {
      const { request, nar } = await make(mixed(bytes))
      for (const level of [1, 3, 9]) {
        const tempFile = temp()
        const { fileHash, fileSize, wasWritten } = await packer.fill(request, level, tempFile).done
        const written = readFileSync(tempFile)
        expect({ fileHash, fileSize, wasWritten }).toEqual({
          fileHash: sha256(written),
          fileSize: written.length,
          wasWritten: true,
        })
        expect(zstdDecompressSync(written).equals(nar)).toBe(true)
        expect((await readAll(packer.openCompressedNar(request, level))).equals(written)).toBe(true)
        expect((await compressInPieces(nar, level, 70_001, 9_000)).equals(written)).toBe(true)
      }
    },
  )

  test('gives any range of the compressed bytes', async () => {
    const { request } = await make(mixed(2_000_000))
    const whole = await readAll(packer.openCompressedNar(request, 3))
    for (const start of [0, 1, 70_000, 900_000, whole.length - 1]) {
      const end = Math.min(whole.length, start + 200_001)
      expect(
        (await readAll(packer.openCompressedNar(request, 3, { start, end }))).equals(whole.subarray(start, end)),
      ).toBe(true)
    }
    expect(
      (await readAll(packer.openCompressedNar(request, 3, { start: 500_000, end: whole.length + 1000 }))).equals(
        whole.subarray(500_000),
      ),
    ).toBe(true)
  })

  test('reports how far the file is written, and the file has that many bytes', async () => {
    const { request } = await make(mixed(8_000_000))
    const tempFile = temp()
    const fill = packer.fill(request, 3, tempFile)
    const seen: number[] = []
    fill.onProgress(() => {
      seen.push(fill.written)
      expect(statSync(tempFile).size).toBeGreaterThanOrEqual(fill.written)
    })
    const { fileSize } = await fill.done
    expect(seen.length).toBeGreaterThan(3)
    expect([...seen].sort((a, b) => a - b)).toEqual(seen)
    expect(fill.written).toBe(fileSize)
    expect(statSync(tempFile).mode & 0o777).toBe(0o600)
  })

  test('returns the bytes of small results, but not of large ones', async () => {
    const small = await make(Buffer.alloc(100_000, 'x'))
    const tempFile = temp()
    const { bytes } = await packer.fill(small.request, 3, tempFile).done
    expect(Buffer.from(bytes!).equals(readFileSync(tempFile))).toBe(true)
    expect((await packer.fill((await make(mixed(400_000))).request, 3, temp()).done).bytes).toBeUndefined()
  })

  test('neither overwrites nor removes an existing file', async () => {
    const { request } = await make(mixed(10_000))
    const tempFile = temp()
    writeFileSync(tempFile, 'mine')
    const result = await packer.fill(request, 3, tempFile).done
    expect(result).toMatchObject({ wasWritten: false, unwritable: expect.stringContaining('EEXIST') })
    expect(readFileSync(tempFile, 'utf8')).toBe('mine')
  })

  test('computes hash and size even if no file can be created', async () => {
    const { request } = await make(mixed(1_000_000))
    const result = await packer.fill(request, 3, '/nowhere/at/all/temp').done
    expect(result.wasWritten).toBe(false)
    expect(result.fileHash).toBe(sha256(await readAll(packer.openCompressedNar(request, 3))))
  })

  test('rejects a NAR that does not match its record, and closes and removes the file', async () => {
    const { request } = await make(mixed(4_000_000))
    const wrong = { ...request, narHash: sha256(Buffer.from('other')) }
    const tempFile = temp()
    await expect(packer.fill(wrong, 3, tempFile).done).rejects.toMatchObject({ code: 'nar-mismatch' })
    await expect(packer.fill({ ...request, narSize: request.narSize + 8 }, 3, tempFile).done).rejects.toMatchObject({
      code: 'nar-mismatch',
    })
    expect(existsSync(tempFile)).toBe(false)
    expect(openFilesBelow(tempFile)).toEqual([])
    await expect(readAll(packer.openCompressedNar(wrong, 3))).rejects.toMatchObject({ code: 'nar-mismatch' })
  })

  test('removes its file when it is abandoned', async () => {
    const { request } = await make(mixed(8_000_000))
    const tempFile = temp()
    const fill = packer.fill(request, 3, tempFile)
    await new Promise<void>((resolve) => fill.onProgress(resolve))
    fill.abandon()
    fill.abandon()
    await expect(fill.done).rejects.toMatchObject({ code: 'abandoned' })
    expect(existsSync(tempFile)).toBe(false)
    expect(openFilesBelow(dir.path)).toEqual([])
  })

  test('runs many at once, beside raw NARs and listings', async () => {
    const large = await Promise.all(Array.from({ length: 15 }, () => make(mixed(1_500_000))))
    const small = await Promise.all(Array.from({ length: 15 }, () => make(mixed(10_000))))
    let finished = 0
    const fills = large.map(async ({ request }) => {
      const result = await packer.fill(request, 9, temp()).done
      finished++
      return result
    })
    const smallFills = small.map(({ request }) => packer.fill(request, 9, temp()).done)
    expect((await readAll(packer.openNar(small[0]!.request))).equals(small[0]!.nar)).toBe(true)
    await packer.listJson(small[1]!.request.realPath)
    expect(finished).toBeLessThan(large.length)
    for (const { wasWritten } of await Promise.all([...fills, ...smallFills])) expect(wasWritten).toBe(true)
  })

  test('stops when its reader closes, and the next one starts', async () => {
    const { request, nar } = await make(mixed(3_000_000))
    for (let i = 0; i < 30; i++) {
      const reader = packer.openCompressedNar(request, 3)
      const chunk = await reader.next()
      chunk!.release()
      reader.close()
    }
    expect(zstdDecompressSync(await readAll(packer.openCompressedNar(request, 3))).equals(nar)).toBe(true)
  })

  test('waits for a reader that does not consume its chunks, without delaying others', async () => {
    const { request, nar } = await make(randomBytes(6_000_000))
    const stuck = packer.openCompressedNar(request, 1)
    const chunk = await stuck.next()
    const other = await make(mixed(3_000_000))
    expect(zstdDecompressSync(await readAll(packer.openCompressedNar(other.request, 1))).equals(other.nar)).toBe(true)
    const start = Buffer.from(chunk!.bytes)
    chunk!.release()
    expect(zstdDecompressSync(Buffer.concat([start, await readAll(stuck)])).equals(nar)).toBe(true)
  })

  const canMount = process.getuid?.() === 0 && spawnSync('mountpoint', ['/proc']).status === 0
  const onTmpfs = canMount ? test : test.skip
  onTmpfs('computes hash and size on a full disk, and removes the file', async () => {
    const disk = join(dir.path, 'disk')
    mkdirSync(disk)
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk]).status !== 0) return
    try {
      const { request } = await make(randomBytes(5_000_000))
      const tempFile = join(disk, 'temp')
      const fill = packer.fill(request, 1, tempFile)
      const result = await fill.done
      expect(result).toMatchObject({ wasWritten: false, unwritable: expect.stringContaining('ENOSPC') })
      expect(existsSync(tempFile)).toBe(false)
      expect(fill.written).toBeLessThanOrEqual(1024 * 1024)
      const whole = await readAll(packer.openCompressedNar(request, 1))
      expect({ fileHash: result.fileHash, fileSize: result.fileSize }).toEqual({
        fileHash: sha256(whole),
        fileSize: whole.length,
      })
      expect(openFilesBelow(disk)).toEqual([])
    } finally {
      spawnSync('umount', [disk])
    }
  })
})
