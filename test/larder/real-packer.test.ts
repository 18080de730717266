/** The larder with the packer it is made for: what comes out decompresses to what `nix-store --dump` prints. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import type { NarRequest, Packer } from '../../src/nar/contract.ts'
import { openPacker } from '../../src/nar/packer.ts'
import { encodeNix32 } from '../../src/nix/nix32.ts'
import { run } from '../fixtures/run.ts'
import { readAll, TestLarder } from './fixture.ts'

const mib = 1024 * 1024
const canMount = process.platform === 'linux' && process.getuid?.() === 0

interface DumpedNar extends NarRequest {
  readonly bytes: Buffer
}

async function dump(realPath: string): Promise<DumpedNar> {
  const { stdoutBytes: bytes } = await run('nix-store', ['--dump', realPath])
  return {
    realPath,
    bytes,
    narSize: bytes.length,
    narHash: `sha256:${encodeNix32(createHash('sha256').update(bytes).digest())}`,
  }
}

describe('a larder with a real packer', () => {
  let dir: string
  let packer: Packer
  let tree: DumpedNar
  let big: DumpedNar

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'burrow-packed-'))
    packer = openPacker()
    await mkdir(join(dir, 'tree'))
    for (let at = 0; at < 50; at++)
      await writeFile(join(dir, 'tree', `file-${at}`), `${at} `.repeat(at * 10), { mode: at % 2 === 0 ? 0o644 : 0o755 })
    await symlink('file-1', join(dir, 'tree', 'link'))
    await writeFile(
      join(dir, 'big'),
      Buffer.concat([randomBytes(3 * mib), Buffer.alloc(3 * mib, 'text '), randomBytes(3 * mib)]),
    )
    tree = await dump(join(dir, 'tree'))
    big = await dump(join(dir, 'big'))
  })

  afterAll(async () => {
    await packer[Symbol.asyncDispose]()
    await rm(dir, { recursive: true, force: true })
  })

  test('keeps what decompresses to the dump, and serves it from the growing file, memory and disk alike', async () => {
    await using test = await TestLarder.open({ packer, zstdVersion: process.versions.zstd! })
    for (const nar of [tree, big]) {
      const readers = await Promise.all(Array.from({ length: 5 }, () => test.larder.open(nar)))
      for (const { chunks } of readers) expect(zstdDecompressSync(await readAll(chunks)).equals(nar.bytes)).toBe(true)
      const { fileHash, fileSize } = await test.larder.settle(nar)
      const kept = await readAll((await test.larder.open(nar)).chunks)
      expect(kept.length).toBe(fileSize)
      expect(`sha256:${encodeNix32(createHash('sha256').update(kept).digest())}`).toBe(fileHash)
    }
    expect(test.larder.stats.fills).toBe(2)
    expect(zstdDecompressSync(test.larder.peek(tree.narHash)!).equals(tree.bytes)).toBe(true)
    await test.reopen({ packer, zstdVersion: process.versions.zstd! })
    for (const nar of [tree, big])
      expect(zstdDecompressSync(await readAll((await test.larder.open(nar)).chunks)).equals(nar.bytes)).toBe(true)
    expect(test.larder.stats).toMatchObject({ fills: 0, hits: 2, damaged: 0 })
  })

  test('makes the same bytes and tells the same hash when it keeps nothing', async () => {
    await using kept = await TestLarder.open({ packer, memoryBytes: 0 })
    await using unkept = await TestLarder.open({ packer, maxBytes: 0 })
    for (const nar of [tree, big]) {
      const body = await readAll((await unkept.larder.open(nar)).chunks)
      const found = await kept.larder.settle(nar)
      expect(unkept.larder.find(nar.narHash)).toEqual(found)
      expect(body.equals(await readAll((await kept.larder.open(nar)).chunks))).toBe(true)
      const range = { start: Math.floor(found.fileSize / 3), end: found.fileSize - 1 }
      expect(
        (await readAll(await unkept.larder.openRange(nar, range))).equals(body.subarray(range.start, range.end)),
      ).toBe(true)
    }
  })

  test('rejects a NAR that is not what it should be, and keeps nothing of it', async () => {
    await using test = await TestLarder.open({ packer })
    const wrong = { ...big, narHash: tree.narHash }
    const settled = test.larder.settle(wrong)
    const { chunks } = await test.larder.open(wrong)
    await expect(readAll(chunks)).rejects.toMatchObject({ code: 'nar-mismatch' })
    await expect(settled).rejects.toMatchObject({ code: 'nar-mismatch' })
    expect([...(await test.keptNames()), ...(await test.tempNames())]).toEqual([])
  })

  test('closes in the middle of a compression', async () => {
    await using test = await TestLarder.open({ packer })
    const { chunks } = await test.larder.open(big)
    const first = await chunks.next()
    first?.release()
    await test.larder[Symbol.asyncDispose]()
    await expect(chunks.next()).rejects.toMatchObject({ code: 'abandoned' })
    expect(await test.tempNames()).toEqual([])
  })

  const testWithMounts = canMount ? test : test.skip
  testWithMounts('goes on without a seam when the disk becomes full under its readers', async () => {
    await using test = await TestLarder.prepare()
    await mkdir(test.dir)
    await run('mount', ['-t', 'tmpfs', '-o', `size=${4 * mib}`, 'tmpfs', test.dir])
    try {
      await test.reopen({ packer })
      const readers = await Promise.all(Array.from({ length: 3 }, () => test.larder.open(big)))
      const settled = test.larder.settle(big)
      for (const { chunks } of readers) expect(zstdDecompressSync(await readAll(chunks)).equals(big.bytes)).toBe(true)
      const { fileSize } = await settled
      expect(fileSize).toBeGreaterThan(4 * mib)
      expect(test.larder.stats).toMatchObject({ files: 0, unwritable: expect.stringContaining('ENOSPC') })
      await test.larder[Symbol.asyncDispose]()
    } finally {
      await run('umount', ['-l', test.dir])
    }
  })
})
