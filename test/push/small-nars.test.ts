import { randomBytes } from 'node:crypto'
import { zstdDecompressSync } from 'node:zlib'

import { describe, expect, test } from '@jest/globals'

import { compressFrame } from '../../src/push/frames.ts'
import { Batch } from '../../src/push/small-nars.ts'
import { parseFrameHeader } from '../../src/store/depot/zstd-frames.ts'

describe('Batch', () => {
  test('writes a line of JSON, then the frames in the order of its entries', async () => {
    const batch = new Batch()
    const nars = [randomBytes(500), randomBytes(100_000)]
    for (const [at, nar] of nars.entries()) {
      const frame = await compressFrame(nar, 3)
      batch.add({ entry: { narHash: `sha256:${at}`, narSize: nar.length, bytes: frame.length }, frame })
    }
    const body = batch.toBody()
    const lineEnd = body.indexOf('\n')
    const { entries } = JSON.parse(body.subarray(0, lineEnd).toString()) as { entries: { bytes: number }[] }
    let at = lineEnd + 1
    for (const [index, { bytes }] of entries.entries()) {
      expect(zstdDecompressSync(body.subarray(at, at + bytes)).equals(nars[index]!)).toBe(true)
      at += bytes
    }
    expect(at).toBe(body.length)
  })

  test('foresees the length of its body from above', async () => {
    const batch = new Batch()
    let foreseen = 0
    for (let at = 0; at < 200; at++) {
      const frame = await compressFrame(randomBytes(300), 3)
      const small = { entry: { narHash: `sha256:${'1'.repeat(52)}`, narSize: 2 ** 20, bytes: frame.length }, frame }
      foreseen = batch.bytesWith(small)
      batch.add(small)
    }
    expect(batch.toBody().length).toBeLessThanOrEqual(foreseen)
  })
})

test.each([1, 64 * 1024, 64 * 1024 + 1, 2 ** 20])(
  'compressFrame makes one frame of %i bytes that says so',
  async (length) => {
    const bytes = randomBytes(length)
    const frame = await compressFrame(bytes, 3)
    expect(zstdDecompressSync(frame).equals(bytes)).toBe(true)
    expect(parseFrameHeader(frame)?.contentBytes).toBe(length)
  },
)
