/** A depot on a small tmpfs of its own: mounting one takes root, and Linux. */
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from '@jest/globals'

import type { DepotOptions } from '../../../src/store/depot/depot-options.ts'
import { run } from '../../fixtures/run.ts'
import { type Made, make, noise, TestDepot } from './fixture.ts'
import { cat, commit, mib, putPart } from './parts.ts'

const isPossible = process.platform === 'linux' && process.getuid?.() === 0

async function onTmpfs(
  bytes: number,
  options: Partial<DepotOptions>,
  work: (test: TestDepot) => Promise<void>,
): Promise<void> {
  const test = new TestDepot()
  mkdirSync(test.dir)
  await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', test.dir])
  try {
    await test.reopenHere({ maxBytes: 2 ** 40, ...options })
    await work(test)
  } finally {
    await test.close()
    await run('umount', [test.dir])
    await test[Symbol.asyncDispose]()
  }
}

/** Takes what the disk has, but for so much. */
function fill(test: TestDepot, leave: number): void {
  const { bavail, bsize } = statfsSync(test.dir)
  const bytes = Math.max(0, bavail * bsize - leave)
  writeFileSync(join(test.dir, 'lost+found'), Buffer.alloc(bytes, 1))
}

function empty(test: TestDepot): void {
  rmSync(join(test.dir, 'lost+found'), { force: true })
}

async function expectSound(test: TestDepot, here: readonly Made[], gone: readonly Made[]): Promise<void> {
  for (const made of here) expect((await test.read(made)).equals(made.file)).toBe(true)
  for (const made of gone) expect(test.find(made)).toBeUndefined()
  expect(readdirSync(join(test.dir, 'in'))).toEqual([])
  expect((await test.verify()).damaged).toEqual([])
}

const whenPossible = isPossible ? describe : describe.skip
whenPossible('a full disk', () => {
  test('at every write refuses the push in words, leaves nothing half, and is forgotten when there is room', async () => {
    await onTmpfs(8 * mib, { reserveBytes: 0 }, async (test) => {
      const kept = make('kept', { tree: noise(200_000) })
      expect(await test.push(kept)).toEqual({ status: 'registered' })
      const made = make('made', { tree: noise(1000) })
      const outcomes = new Set<string>()
      let refusedWithRoomForTheBody = 0
      // From nothing at all in steps of a page, past what body, database and log need.
      for (let leave = 0; leave < 600_000; leave += 4096) {
        fill(test, leave)
        const verdict = await test.push(made)
        outcomes.add(verdict.status)
        if (verdict.status === 'refused' && leave > 4096) refusedWithRoomForTheBody++
        if (verdict.status === 'refused')
          expect(verdict).toMatchObject({ code: 'no-room', reason: expect.not.stringContaining(test.dir) })
        if (verdict.status === 'refused') expect(test.depot.figures().shortage).toBeDefined()
        empty(test)
        if (verdict.status === 'refused') await expectSound(test, [kept], [made])
        else break
      }
      expect([...outcomes]).toEqual(['refused', 'registered'])
      // The database was full as well, and not only the body's file.
      expect(refusedWithRoomForTheBody).toBeGreaterThan(0)
      await expectSound(test, [kept, made], [])
      await test.reopenHere({ maxBytes: 2 ** 40, reserveBytes: 0 })
      await expectSound(test, [kept, made], [])
    })
  })

  test('that the room check cannot foresee (others fill it meanwhile) is the same', async () => {
    await onTmpfs(8 * mib, { reserveBytes: 0 }, async (test) => {
      const made = make('made', { tree: noise(3 * mib), compression: 'none' })
      async function* body() {
        for (let at = 0; at < made.file.length; at += 65_536) {
          if (at === 10 * 65_536) fill(test, 0)
          yield made.file.subarray(at, at + 65_536)
        }
      }
      const { fileHash, compression, file } = made
      const refusal = await test.depot.receiveNar({ fileHash, compression, fileSize: file.length, who: cat }, body())
      expect(refusal).toMatchObject({ status: 'refused', code: 'no-room' })
      empty(test)
      await expectSound(test, [], [made])
      expect(await test.push(made)).toEqual({ status: 'registered' })
      expect(test.depot.figures().shortage).toBeUndefined()
    })
  })

  test('in the middle of an upload in parts keeps the parts that were acknowledged', async () => {
    await onTmpfs(16 * mib, { reserveBytes: 0 }, async (test) => {
      const made = make('parts', { tree: noise(3.5 * mib), compression: 'none' })
      expect(await putPart(test, made, 1)).toEqual({ status: 'stored' })
      fill(test, 100_000)
      expect(await putPart(test, made, 0)).toMatchObject({ status: 'refused', code: 'no-room' })
      empty(test)
      const { file: _file, ...path } = made.path
      expect((await test.depot.plan([path], mib, 'cat')).paths).toMatchObject([{ status: 'upload', have: '1' }])
      for (const index of [0, 2, 3]) expect(await putPart(test, made, index)).toEqual({ status: 'stored' })
      expect(await commit(test, [made])).toEqual([{ status: 'registered' }])
      expect((await test.verify()).damaged).toEqual([])
    })
  })

  test('does not keep a collection from making room: the reserve is given up for it, and taken again', async () => {
    await onTmpfs(8 * mib, { reserveBytes: mib }, async (test) => {
      const [old, kept] = [make('old', { tree: noise(mib) }), make('kept', { tree: noise(mib) })]
      for (const made of [old, kept]) await test.push(made)
      test.now += 31 * 86_400_000
      test.depot.leases.covers(kept.path.storePath)
      await test.depot.noteUses()
      // Small commits fill the last page of the log as well.
      fill(test, 0)
      for (let at = 0; at < 200; at++)
        if ((await test.depot.putDocument('debuginfo', `x${at}`, 'x'.repeat(4000), cat)) !== 'stored') break
      expect(await test.depot.putDocument('debuginfo', 'one more', 'x'.repeat(4000), cat)).toMatchObject({
        status: 'refused',
        code: 'no-room',
      })
      expect(readdirSync(test.dir)).toContain('reserved')
      expect(await test.depot.collect({ isDryRun: false })).toMatchObject({
        removed: [{ storePath: old.path.storePath }],
      })
      await expectSound(test, [kept], [old])
      expect(readdirSync(test.dir)).toContain('reserved')
      empty(test)
    })
  })
})
