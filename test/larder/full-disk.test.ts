/** A larder on a small tmpfs of its own: mounting one takes root, and Linux. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { describe, expect, test } from '@jest/globals'

import { run } from '../fixtures/run.ts'
import { readAll, TestLarder } from './fixture.ts'

const mib = 1024 * 1024
const canMount = process.platform === 'linux' && process.getuid?.() === 0

async function mountTmpfs(dir: string, bytes: number): Promise<AsyncDisposable> {
  await mkdir(dir)
  await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', dir])
  return { [Symbol.asyncDispose]: async () => void (await run('umount', ['-l', dir])) }
}

const describeWithMounts = canMount ? describe : describe.skip

describeWithMounts('a larder on a full disk', () => {
  test('serves every byte, learns hash and size, and does not try again for a while', async () => {
    await using test = await TestLarder.prepare()
    await using _disk = await mountTmpfs(test.dir, 2 * mib)
    await test.reopen()
    // Looks small and is not: the disk is full halfway.
    const nar = { ...test.packer.make('app', 4 * mib), narSize: mib }
    const readers = await Promise.all([test.larder.open(nar), test.larder.open(nar), test.larder.open(nar)])
    const settled = test.larder.settle(nar)
    for (const { chunks } of readers) expect((await readAll(chunks)).equals(nar.compressed)).toBe(true)
    expect(await settled).toEqual({ fileHash: nar.fileHash, fileSize: nar.fileSize })
    expect(test.larder.find(nar.narHash)).toEqual({ fileHash: nar.fileHash, fileSize: nar.fileSize })
    expect(test.larder.stats).toMatchObject({ files: 0, bytes: 0, unwritable: expect.stringContaining('ENOSPC') })
    expect(await test.tempNames()).toEqual([])

    const small = test.packer.make('small', 1000)
    expect((await readAll((await test.larder.open(small)).chunks)).equals(small.compressed)).toBe(true)
    expect(test.packer.fills).toHaveLength(1)
    expect(
      (await readAll(await test.larder.openRange(nar, { start: mib, end: 3 * mib }))).equals(
        nar.compressed.subarray(mib, 3 * mib),
      ),
    ).toBe(true)

    test.now += 60_000
    const fits = test.packer.make('fits', mib)
    // The file that did not fit takes up space until its last reader has closed it, and nothing reports when that is.
    while (test.larder.stats.files === 0) {
      const settled = test.larder.settle(fits)
      expect((await readAll((await test.larder.open(fits)).chunks)).equals(fits.compressed)).toBe(true)
      await settled
      await new Promise(setImmediate)
    }
    expect(test.larder.stats).toMatchObject({ files: 1, unwritable: undefined })
    await test.larder[Symbol.asyncDispose]()
  })

  test('gives up what was least recently used for what is new', async () => {
    await using test = await TestLarder.prepare()
    await using _disk = await mountTmpfs(test.dir, 4 * mib)
    await test.reopen()
    const nars = Array.from({ length: 12 }, (_, at) => test.packer.make(`app-${at}`, mib))
    for (const nar of nars) {
      test.now += 10_000
      expect(await test.larder.settle(nar)).toEqual({ fileHash: nar.fileHash, fileSize: mib })
    }
    expect(test.larder.stats).toMatchObject({ files: 3, unwritable: undefined })
    expect((await test.keptNames()).map((name) => name.slice(0, 52))).toEqual(
      nars
        .slice(-3)
        .map(({ narHash }) => narHash.slice(7))
        .sort(),
    )
    await test.larder[Symbol.asyncDispose]()
  })

  test('makes room and tries again at once when a NAR turned out larger than the room made for it', async () => {
    await using test = await TestLarder.prepare()
    await using _disk = await mountTmpfs(test.dir, 4 * mib)
    await test.reopen()
    for (const name of ['a', 'b', 'c']) await test.larder.settle(test.packer.make(name, mib))
    const nar = { ...test.packer.make('app', 3 * mib), narSize: mib / 2 }
    await test.larder.settle(nar)
    expect(test.larder.stats).toMatchObject({ unwritable: undefined })
    await readAll((await test.larder.open(nar)).chunks)
    await test.larder.settle(nar)
    expect(await test.keptNames()).toEqual([expect.stringContaining(nar.narHash.slice(7))])
    await test.larder[Symbol.asyncDispose]()
  })

  test('opens and serves what is kept when not even the lock can be made', async () => {
    await using test = await TestLarder.prepare()
    await using _disk = await mountTmpfs(test.dir, 4 * mib)
    await test.reopen()
    const [kept, fresh] = [test.packer.make('kept', mib), test.packer.make('fresh', mib)]
    await test.larder.settle(kept)
    await test.larder[Symbol.asyncDispose]()
    await run('mount', ['-o', 'remount,ro', test.dir])
    await test.reopen()
    expect((await readAll((await test.larder.open(kept)).chunks)).equals(kept.compressed)).toBe(true)
    expect((await readAll((await test.larder.open(fresh)).chunks)).equals(fresh.compressed)).toBe(true)
    expect(test.larder.stats).toMatchObject({ files: 1, unwritable: expect.stringContaining('EROFS') })
    await run('mount', ['-o', 'remount,rw', test.dir])
    test.now += 60_000
    expect((await readAll((await test.larder.open(fresh)).chunks)).equals(fresh.compressed)).toBe(true)
    await test.larder[Symbol.asyncDispose]()
    expect(await test.keptNames()).toHaveLength(2)
  })

  test('filled by others keeps nothing, and something again when they have left', async () => {
    await using test = await TestLarder.prepare()
    await using _disk = await mountTmpfs(test.dir, 2 * mib)
    await test.reopen()
    await writeFile(join(test.dir, 'other'), Buffer.alloc(2 * mib - 16_384)).catch(() => {})
    const nar = test.packer.make('app', mib)
    expect((await readAll((await test.larder.open(nar)).chunks)).equals(nar.compressed)).toBe(true)
    expect(await test.keptNames()).toEqual([])
    expect(test.larder.stats.unwritable).toContain('ENOSPC')
    await rm(join(test.dir, 'other'))
    test.now += 60_000
    expect((await readAll((await test.larder.open(nar)).chunks)).equals(nar.compressed)).toBe(true)
    await test.larder[Symbol.asyncDispose]()
    expect(
      (await readdir(test.dir)).filter((name) => !/^(?:CACHEDIR.TAG|burrow-larder.lock)$/.test(name)),
    ).toHaveLength(1)
  })
})
