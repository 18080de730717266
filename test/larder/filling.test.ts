import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { Fault } from '../../src/faults.ts'
import { readAll, readChunk, TestLarder } from './fixture.ts'

const mib = 1024 * 1024

describe('a compression into the larder', () => {
  test('is one, however many open the NAR at once, and all get the same bytes', async () => {
    await using test = await TestLarder.open()
    const nar = test.packer.make('app', 3 * mib + 17)
    const opened = await Promise.all(Array.from({ length: 40 }, () => test.larder.open(nar)))
    const bodies = await Promise.all(opened.map(({ chunks }) => readAll(chunks)))
    for (const body of bodies) expect(body.equals(nar.compressed)).toBe(true)
    expect(test.packer.fills).toHaveLength(1)
    expect(test.packer.alone).toHaveLength(0)
    expect(test.larder.stats).toMatchObject({ fills: 1, files: 1, fillsUnderWay: 0 })
  })

  test('makes hash and size known to `find` only when it was found right, and lasts once `settle` resolves', async () => {
    await using test = await TestLarder.open()
    test.packer.isByHand = true
    const nar = test.packer.make('app', mib)
    const started = test.packer.nextFill()
    const settled = test.larder.settle(nar)
    const fill = await started
    fill.writeTo(mib)
    expect(test.larder.find(nar.narHash)).toBeUndefined()
    fill.end('whole')
    expect(await settled).toEqual({ fileHash: nar.fileHash, fileSize: mib })
    expect(test.larder.find(nar.narHash)).toEqual({ fileHash: nar.fileHash, fileSize: mib })
    const [name] = await test.keptNames()
    expect(name).toBe(`${nar.narHash.slice(7)}.zstd-3-1.5.7.${nar.fileHash.slice(7)}.${mib}`)
    expect((await readFile(join(test.dir, name!))).equals(nar.compressed)).toBe(true)
    expect(await test.tempNames()).toEqual([])
  })

  test('is read while it grows, and its last bytes only when it was found right', async () => {
    await using test = await TestLarder.open()
    test.packer.isByHand = true
    const nar = test.packer.make('app', 2 * mib)
    const started = test.packer.nextFill()
    const { size, chunks } = await test.larder.open(nar)
    expect(size).toBeUndefined()
    const fill = await started
    const first = readChunk(chunks)
    fill.writeTo(mib)
    const head = await first
    expect(head.equals(nar.compressed.subarray(0, head.length))).toBe(true)
    fill.writeTo(2 * mib)
    let read = head.length
    while (read < 2 * mib - 65_536) read += (await readChunk(chunks)).length
    let isOver = false
    const rest = chunks.next().finally(() => (isOver = true))
    await test.larder.open(nar)
    expect(isOver).toBe(false)
    fill.end('whole')
    const last = await rest
    expect(read + last!.bytes.length).toBe(2 * mib)
    last!.release()
    expect(await chunks.next()).toBeUndefined()
  })

  test('that is found wrong breaks every reader before its end and keeps nothing', async () => {
    await using test = await TestLarder.open()
    test.packer.isByHand = true
    const nar = test.packer.make('app', mib)
    const started = test.packer.nextFill()
    const { chunks } = await test.larder.open(nar)
    const fill = await started
    fill.writeTo(mib)
    await readChunk(chunks)
    const settled = test.larder.settle(nar)
    fill.end(new Fault('nar-mismatch', 'the NAR is another'))
    await expect(readAll(chunks)).rejects.toMatchObject({ code: 'nar-mismatch' })
    await expect(settled).rejects.toMatchObject({ code: 'nar-mismatch' })
    expect(test.larder.find(nar.narHash)).toBeUndefined()
    expect(await test.keptNames()).toEqual([])
    expect(await test.tempNames()).toEqual([])
    expect(test.larder.stats).toMatchObject({ fillsUnderWay: 0, bytes: 0 })
  })

  test('goes on to its end when its last reader has left', async () => {
    await using test = await TestLarder.open()
    test.packer.isByHand = true
    const nar = test.packer.make('app', mib)
    const started = test.packer.nextFill()
    const { chunks } = await test.larder.open(nar)
    const fill = await started
    fill.writeTo(mib / 2)
    chunks.close()
    await expect(chunks.next()).rejects.toMatchObject({ code: 'abandoned' })
    const settled = test.larder.settle(nar)
    fill.end('whole')
    await settled
    expect(test.larder.stats.files).toBe(1)
  })

  test('wakes a reader that waits for it and is closed', async () => {
    await using test = await TestLarder.open()
    test.packer.isByHand = true
    const started = test.packer.nextFill()
    const { chunks } = await test.larder.open(test.packer.make('app', mib))
    await started
    const next = chunks.next()
    chunks.close()
    await expect(next).rejects.toMatchObject({ code: 'abandoned' })
  })

  test('hands a small NAR to memory at its end', async () => {
    await using test = await TestLarder.open()
    const nar = test.packer.make('small', 20_000)
    expect(test.larder.peek(nar.narHash)).toBeUndefined()
    await test.larder.settle(nar)
    expect(Buffer.from(test.larder.peek(nar.narHash)!).equals(nar.compressed)).toBe(true)
    expect(test.larder.peek(test.packer.make('large', 70_000).narHash)).toBeUndefined()
  })

  test('turns a failed rename into bytes for its readers and a reason in the status', async () => {
    await using test = await TestLarder.open()
    test.packer.isByHand = true
    const nar = test.packer.make('app', mib)
    const started = test.packer.nextFill()
    const { chunks } = await test.larder.open(nar)
    const fill = await started
    // A directory in its place cannot be replaced by a file.
    const name = `${nar.narHash.slice(7)}.zstd-3-1.5.7.${nar.fileHash.slice(7)}.${mib}`
    await mkdir(join(test.dir, name))
    await writeFile(join(test.dir, name, 'x'), '')
    const settled = test.larder.settle(nar)
    fill.end('whole')
    expect((await readAll(chunks)).equals(nar.compressed)).toBe(true)
    await settled
    expect(test.larder.stats).toMatchObject({ files: 0, unwritable: expect.stringContaining('EISDIR') })
    expect(await test.tempNames()).toEqual([])
  })

  test('gives each range and each late reader the slice of the whole, whenever they come', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 600_000 }),
        fc.array(
          fc.record({
            at: fc.double({ min: 0, max: 1, noNaN: true }),
            from: fc.double({ min: 0, max: 1, noNaN: true }),
            length: fc.double({ min: 0, max: 1, noNaN: true }),
          }),
          {
            minLength: 1,
            maxLength: 6,
          },
        ),
        async (fileSize, visits) => {
          await using test = await TestLarder.open({ memoryBytes: 0 })
          test.packer.isByHand = true
          const nar = test.packer.make('app', fileSize)
          const started = test.packer.nextFill()
          const settled = test.larder.settle(nar)
          const fill = await started
          const checks: Promise<void>[] = []
          for (const { at, from, length } of [...visits].sort((left, right) => left.at - right.at)) {
            fill.writeTo(Math.floor(at * fileSize))
            const start = Math.floor(from * (fileSize - 1))
            const range = { start, end: start + 1 + Math.floor(length * (fileSize - start - 1)) }
            checks.push(
              test.larder
                .openRange(nar, range)
                .then(readAll)
                .then((body) => expect(body.equals(nar.compressed.subarray(range.start, range.end))).toBe(true)),
            )
            checks.push(
              test.larder
                .open(nar)
                .then(({ chunks }) => readAll(chunks))
                .then((body) => expect(body.equals(nar.compressed)).toBe(true)),
            )
          }
          fill.end('whole')
          await settled
          await Promise.all(checks)
        },
      ),
      { numRuns: 40 },
    )
  })
})
