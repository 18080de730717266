import { describe, expect, test } from '@jest/globals'
import { directory, file, TempDir } from '../nar/trees.ts'
import { random, roundTrip } from './deltas.ts'

describe('large files', () => {
  const megabyte = 1024 * 1024

  test('are taken in pieces, and cost what has changed', async () => {
    using dir = new TempDir()
    const old = random(40 * megabyte, 7)
    const inserted = Buffer.concat([old.subarray(0, 11 * megabyte), random(3000, 9), old.subarray(11 * megabyte)])
    const delta = await roundTrip(dir, file(old), file(inserted), 100_000)
    expect(delta.length).toBeLessThan(20_000)
  })

  test('that shrink or grow by much are taken too', async () => {
    using dir = new TempDir()
    const old = random(20 * megabyte, 7)
    await roundTrip(dir, file(old), file(old.subarray(0, 100)), 100_000)
    await roundTrip(dir, file(old.subarray(0, 5000)), file(old), 100_000)
    await roundTrip(dir, directory(), directory({ a: file(old) }), 100_000)
    const twoPieces = old.subarray(0, 8 * megabyte)
    await roundTrip(dir, file(twoPieces), file(old.subarray(0, 16 * megabyte)), 100_000)
    await roundTrip(dir, file(old.subarray(0, 16 * megabyte)), file(twoPieces), 100_000)
  })
})
