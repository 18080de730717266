/** What must never get in, whatever it claims; and that nothing of it stays. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createZstdCompress } from 'node:zlib'

import { describe, expect, test } from '@jest/globals'
import { computeContentPath, splitContentAddress } from '../../../src/nix/content-path.ts'
import { formatNarInfo, type NarInfo } from '../../../src/nix/nar-info.ts'
import { encodeNix32 } from '../../../src/nix/nix32.ts'
import { parseNarInfo } from '../../../src/nix/parse-nar-info.ts'
import type { Tree } from '../../nar/trees.ts'
import { directory, file } from '../../nar/trees.ts'
import { ann, compress, encodeNar, inChunks, type Made, make, noise, sha256, storeDir, TestDepot } from './fixture.ts'

/** Bytes that claim to be a file of this hash. */
async function sendBytes(test: TestDepot, bytes: Buffer, compression: Made['compression'] = 'zstd') {
  return await test.depot.receiveNar(
    { fileHash: sha256(bytes), fileSize: bytes.length, compression, who: ann },
    inChunks(bytes),
  )
}

function expectNothing(test: TestDepot): void {
  expect(readdirSync(join(test.dir, 'in'))).toEqual([])
  expect(readdirSync(join(test.dir, 'nar'), { recursive: true }).filter((name) => String(name).includes('.'))).toEqual(
    [],
  )
  expect(test.depot.figures()).toMatchObject({ objects: 0, nars: 0, usedBytes: 0 })
}

const good = make('good', { tree: directory({ a: file('1'), b: noise(100_000) }) })
const deep = (levels: number): Tree => (levels === 1 ? file('x') : directory({ d: deep(levels - 1) }))
const unsorted: Tree = {
  kind: 'directory',
  entries: [
    [Buffer.from('b'), file('1')],
    [Buffer.from('a'), file('2')],
  ],
}
const climbing = (name: string): Tree => ({ kind: 'directory', entries: [[Buffer.from(name), file('1')]] })

describe('a file is refused', () => {
  test.each<readonly [string, Buffer, Made['compression'], string]>([
    ['whose NAR is unsorted', compress(encodeNar(unsorted), 'zstd'), 'zstd', 'bad-nar'],
    ['whose NAR has 65 levels', compress(encodeNar(deep(65)), 'zstd'), 'zstd', 'bad-nar'],
    ['whose NAR is truncated', compress(good.nar.subarray(0, -8), 'zstd'), 'zstd', 'bad-nar'],
    ['whose NAR is followed by more', compress(Buffer.concat([good.nar, Buffer.alloc(8)]), 'zstd'), 'zstd', 'bad-nar'],
    ['whose names climb', compress(encodeNar(climbing('../x')), 'zstd'), 'zstd', 'bad-nar'],
    ['whose name is ..', compress(encodeNar(climbing('..')), 'br'), 'br', 'bad-nar'],
    ['that is no NAR', Buffer.from('hello, hello, hello, hello'), 'none', 'bad-nar'],
    ['that is empty', Buffer.alloc(0), 'zstd', 'bad-nar'],
    ['that is empty and not compressed', Buffer.alloc(0), 'none', 'bad-nar'],
    ['that is truncated zstd', good.file.subarray(0, -5), 'zstd', 'bad-nar'],
    ['with bytes behind the zstd frame', Buffer.concat([good.file, Buffer.from('more')]), 'zstd', 'bad-nar'],
    [
      'with bytes behind the brotli stream',
      Buffer.concat([compress(good.nar, 'br'), Buffer.from('more')]),
      'br',
      'bad-nar',
    ],
    ['that is truncated brotli', compress(good.nar, 'br').subarray(0, -5), 'br', 'bad-nar'],
    ['that is truncated xz', compress(good.nar, 'xz').subarray(0, -9), 'xz', 'bad-nar'],
    [
      'with bytes behind the xz stream',
      Buffer.concat([compress(good.nar, 'xz'), Buffer.from('more')]),
      'xz',
      'bad-nar',
    ],
    [
      'that is damaged bzip2',
      Buffer.concat([compress(good.nar, 'bzip2').subarray(0, 100), Buffer.alloc(500, 7)]),
      'bzip2',
      'bad-nar',
    ],
    ['that is not what it says to be', good.nar, 'xz', 'bad-nar'],
    ['in a compression we do not take', good.nar, 'lzip', 'unsupported'],
  ])('%s', async (_what, bytes, compression, code) => {
    await using test = await TestDepot.open()
    const refusal = await sendBytes(test, bytes, compression)
    expect(refusal).toMatchObject({ status: 'refused', code })
    expect((refusal as { reason: string }).reason).not.toContain(test.dir)
    expectNothing(test)
  })

  test('with 64 levels is taken: the border of the one with 65', async () => {
    await using test = await TestDepot.open()
    expect(await sendBytes(test, compress(encodeNar(deep(64)), 'zstd'))).toMatchObject({ status: 'stored' })
  })

  test('with another hash or length than declared', async () => {
    await using test = await TestDepot.open()
    const { file: bytes, compression } = good
    const declared = { fileHash: sha256(bytes), fileSize: bytes.length, compression, who: ann }
    for (const wrong of [
      { fileHash: sha256(Buffer.from('other')) },
      { fileSize: bytes.length + 1 },
      { fileSize: bytes.length - 1 },
    ]) {
      expect(await test.depot.receiveNar({ ...declared, ...wrong }, inChunks(bytes))).toMatchObject({
        status: 'refused',
        code: 'file-mismatch',
      })
    }
    async function* cut() {
      yield bytes.subarray(0, 50_000)
      throw new Error('socket hang up')
    }
    expect(await test.depot.receiveNar(declared, cut())).toMatchObject({ status: 'refused', code: 'cut' })
    expectNothing(test)
  })

  test('of 10 GiB of zeros in 1 MB of zstd: at the limit, in bounded memory', async () => {
    await using test = new TestDepot()
    await test.reopen({ policy: { maxNarBytes: 300_000_000 } })
    const bomb = await compressBomb(2 ** 20 * 10_240)
    expect(bomb.length).toBeLessThan(2 ** 21)
    const before = process.memoryUsage().rss
    expect(await sendBytes(test, bomb)).toMatchObject({ status: 'refused', code: 'too-big' })
    expect(process.memoryUsage().rss - before).toBeLessThan(200_000_000)
    // Zeros that are no NAR at all end at the first byte.
    expect(await sendBytes(test, compress(Buffer.alloc(1_000_000), 'zstd'))).toMatchObject({
      status: 'refused',
      code: 'bad-nar',
    })
    expectNothing(test)
  }, 300_000)

  test('as xz with a dictionary of 1.5 GiB', async () => {
    await using test = await TestDepot.open()
    const bytes = withDictionary(good.nar)
    expect(await sendBytes(test, bytes, 'xz')).toMatchObject({
      status: 'refused',
      code: 'bad-nar',
      reason: expect.stringContaining('compression=zstd'),
    })
    expectNothing(test)
  })

  test('as zstd with a window of 2 GiB', async () => {
    await using test = await TestDepot.open()
    const bytes = Buffer.from(
      execFileSync('zstd', ['-c', '--no-check', '--ultra', '-3', '--zstd=wlog=31'], {
        input: good.nar,
        maxBuffer: 1e9,
      }),
    )
    const refusal = await sendBytes(test, bytes)
    expect(refusal).toMatchObject({ status: 'refused', code: 'bad-nar' })
    expectNothing(test)
  })

  test('as xz where the program is missing, with the way out', async () => {
    await using test = new TestDepot()
    await test.reopen({ searchPath: test.dir })
    const refusal = await sendBytes(test, compress(good.nar, 'xz'), 'xz')
    expect(refusal).toMatchObject({
      status: 'refused',
      code: 'unsupported',
      reason: expect.stringContaining('?compression=zstd'),
    })
  })
})

/** A NAR of one file of zeros, compressed as it is made. */
async function compressBomb(size: number): Promise<Buffer> {
  const empty = encodeNar({ kind: 'regular', content: Buffer.alloc(0), isExecutable: false })
  const lengthAt = empty.indexOf('contents') + 8
  const head = Buffer.from(empty.subarray(0, lengthAt + 8))
  head.writeBigUInt64LE(BigInt(size), lengthAt)
  const parts: Buffer[] = []
  const stream = createZstdCompress()
  stream.on('data', (part: Buffer) => parts.push(part))
  const ended = new Promise((resolve) => stream.once('end', resolve))
  const write = (bytes: Buffer) => new Promise((resolve) => stream.write(bytes, resolve))
  await write(head)
  const zeros = Buffer.alloc(2 ** 22)
  for (let at = 0; at < size; at += zeros.length) await write(zeros)
  stream.end(empty.subarray(lengthAt + 8))
  await ended
  return Buffer.concat(parts)
}

/**
 * An xz file whose header asks for a dictionary of 1.5 GiB: a byte of the block header, and its checksum made right
 * again.
 */
function withDictionary(nar: Buffer): Buffer {
  const bytes = Buffer.from(compress(nar, 'xz'))
  const headerStart = 12
  const headerBytes = (bytes[headerStart]! + 1) * 4
  // Filter id 0x21 (LZMA2), one byte of properties: the size of the dictionary.
  const at = bytes.indexOf(Buffer.from([0x21, 0x01]), headerStart) + 2
  bytes[at] = 37
  bytes.writeUInt32LE(crc32(bytes.subarray(headerStart, headerStart + headerBytes - 4)), headerStart + headerBytes - 4)
  return bytes
}

function crc32(bytes: Buffer): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}

describe('a narinfo is refused', () => {
  const narInfo = (made: Made, changes: Partial<NarInfo> = {}): NarInfo => ({
    ...made.path,
    url: `nar/${made.fileHash.slice(7)}.nar.zst`,
    compression: 'zstd',
    fileHash: made.fileHash,
    fileSize: made.file.length,
    system: undefined,
    ...changes,
  })
  const hashPart = good.path.storePath.slice(storeDir.length + 1, storeDir.length + 33)
  const elsewhere = `sha256:${encodeNix32(createHash('sha256').update('elsewhere').digest())}`

  test('before its NAR', async () => {
    await using test = await TestDepot.open()
    expect(await test.depot.registerNarInfo(hashPart, narInfo(good), ann)).toMatchObject({
      status: 'refused',
      code: 'missing-nar',
    })
  })

  test.each<readonly [string, Partial<NarInfo>, string]>([
    ['with a false NarHash', { narHash: elsewhere }, 'missing-nar'],
    ['with a NarSize that is one too large', { narSize: good.nar.length + 1 }, 'mismatch'],
    ['with a false FileHash', { fileHash: elsewhere }, 'mismatch'],
    ['with a false FileSize', { fileSize: good.file.length + 1 }, 'mismatch'],
    ['with a false Compression', { compression: 'xz' }, 'mismatch'],
    [
      'whose URL names a file that is not here',
      { url: `nar/${elsewhere.slice(7)}.nar.zst`, fileHash: undefined },
      'missing-nar',
    ],
    ['whose URL climbs', { url: '../../etc/passwd' }, 'mismatch'],
    ['whose URL is absolute', { url: `https://cache.example.org/nar/${good.fileHash.slice(7)}.nar.zst` }, 'mismatch'],
    ['with a missing reference', { references: [make('nowhere').path.storePath] }, 'missing-reference'],
    ['with a false content address (text)', { contentAddress: `text:${elsewhere}` }, 'mismatch'],
    ['with a false content address (recursive)', { contentAddress: `fixed:r:${elsewhere}` }, 'mismatch'],
    ['with a false content address (flat)', { contentAddress: `fixed:${elsewhere}` }, 'mismatch'],
    ['of a path outside the store', { storePath: `/elsewhere/${hashPart}-good` }, 'mismatch'],
  ])('%s', async (_what, changes, code) => {
    await using test = await TestDepot.open()
    await test.send(good)
    expect(await test.depot.registerNarInfo(hashPart, narInfo(good, changes), ann)).toMatchObject({
      status: 'refused',
      code,
    })
    expect(test.find(good)).toBeUndefined()
    expect(await test.depot.registerNarInfo(hashPart, narInfo(good), ann)).toEqual({ status: 'registered' })
  })

  test('whose path is not that of the request', async () => {
    await using test = await TestDepot.open()
    await test.send(good)
    expect(await test.depot.registerNarInfo(make('x').path.storePath.slice(11, 43), narInfo(good), ann)).toMatchObject({
      status: 'refused',
      code: 'mismatch',
    })
  })

  test('never when it is as Nix writes it', async () => {
    await using test = await TestDepot.open()
    await test.send(good)
    const parsed = parseNarInfo(formatNarInfo(narInfo(good)))!
    expect(await test.depot.registerNarInfo(hashPart, parsed, ann)).toEqual({ status: 'registered' })
  })
})

describe('a content address', () => {
  const content = Buffer.from('the same text\n')
  const tree: Tree = { kind: 'regular', content, isExecutable: false }
  const nix32 = (algorithm: string, bytes: Buffer) =>
    `${algorithm}:${encodeNix32(createHash(algorithm).update(bytes).digest())}`

  test.each<readonly [string, string]>([
    ['text', `text:${nix32('sha256', content)}`],
    ['flat', `fixed:${nix32('sha256', content)}`],
    ['flat sha1', `fixed:${nix32('sha1', content)}`],
    ['recursive', `fixed:r:${nix32('sha256', encodeNar(tree))}`],
    ['recursive sha512', `fixed:r:${nix32('sha512', encodeNar(tree))}`],
  ])(
    'of the kind %s stands in for a signature when path and content follow from it, and only then',
    async (_kind, contentAddress) => {
      const storePath = computeContentPath(
        `${storeDir}/${'0'.repeat(32)}-ca`,
        storeDir,
        splitContentAddress(contentAddress)!,
        [],
      )!
      const right = make('ca', { tree, storePath })
      const wrong = make('ca', { tree: file('another text'), storePath })
      await using test = new TestDepot()
      await test.reopen({ policy: { requireSignatures: ['ci-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY='] } })
      for (const made of [right, wrong]) await test.send(made)
      expect(await test.register(wrong, ann, { contentAddress })).toMatchObject({ status: 'refused', code: 'mismatch' })
      expect(await test.register(right, ann)).toMatchObject({ status: 'refused', code: 'policy' })
      expect(await test.register(right, ann, { contentAddress })).toEqual({ status: 'registered' })
      expect(test.find(right)?.info.contentAddress).toBe(contentAddress)
    },
  )
})
