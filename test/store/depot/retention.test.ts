import { readdirSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { type GcReport, maxListedPaths } from '../../../src/store/depot/gc-plan.ts'
import { file } from '../../nar/trees.ts'
import { ann, ben, type Made, make, noise, storeDir, TestDepot } from './fixture.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

async function collect(
  test: TestDepot,
  options: { readonly isDryRun?: boolean; readonly toBytes?: number; readonly olderThanMs?: number } = {},
): Promise<GcReport> {
  const report = await test.depot.collect({ isDryRun: false, ...options })
  if ('status' in report) throw new Error(report.reason)
  return report
}

const removedPaths = (report: GcReport) => report.removed.map(({ storePath }) => storePath).sort()
const use = (test: TestDepot, made: Made) => test.depot.leases.covers(made.path.storePath)
const filesOf = (test: TestDepot) =>
  readdirSync(join(test.dir, 'nar'), { recursive: true }).filter((name) => String(name).includes('.'))

/** lib ← app, and tool alone. */
async function three(): Promise<{ test: TestDepot; lib: Made; app: Made; tool: Made }> {
  const test = await TestDepot.openHere()
  const lib = make('lib', { tree: noise(10_000) })
  const app = make('app', { tree: noise(20_000), references: [lib.path.storePath] })
  const tool = make('tool', { tree: noise(30_000) })
  for (const made of [lib, app, tool]) await test.push(made)
  return { test, lib, app, tool }
}

describe('a collection', () => {
  test('keeps what was used within 30 days with all it refers to, and removes rows and files of the rest', async () => {
    const { test, lib, app, tool } = await three()
    await using _ = test
    test.now += 29 * dayMs
    use(test, app)
    test.now += 2 * dayMs
    const dry = await collect(test, { isDryRun: true })
    expect(dry).toMatchObject({
      removed: [{ storePath: tool.path.storePath, why: 'unused', bytes: tool.file.length }],
      bytes: tool.file.length,
      keptObjects: 2,
    })
    expect(test.find(tool)).toBeDefined()
    expect(await collect(test)).toEqual(dry)
    expect([lib, app, tool].map((made) => test.find(made) !== undefined)).toEqual([true, true, false])
    expect(filesOf(test)).toHaveLength(2)
    expect(test.depot.figures().usedBytes).toBe(lib.file.length + app.file.length)
    expect(test.depot.who(tool.path.storePath)[0]).toMatchObject({ action: 'collect' })
  })

  test('lists at most a thousand paths in its report, and counts all of them', async () => {
    await using test = await TestDepot.openHere()
    const count = maxListedPaths + 50
    const [shared, last] = [make('shared'), make('last', { tree: noise(5000) })]
    await test.push(shared)
    // They have the same content, so only the last of them frees a file.
    const twins = Array.from({ length: count }, (_, at) => make(`twin-${at}`, { nar: shared.nar }).path)
    await test.depot.register({ paths: twins, who: ann, isAtomic: true })
    await test.push(last)
    test.now += 31 * dayMs
    const dry = await collect(test, { isDryRun: true })
    expect(dry).toMatchObject({ removedObjects: count + 2, keptObjects: 0 })
    expect(dry.removed).toHaveLength(maxListedPaths)
    expect(dry.bytes).toBe(shared.file.length + last.file.length)
    expect(await collect(test)).toEqual(dry)
    expect(test.depot.figures().objects).toBe(0)
    expect(filesOf(test)).toEqual([])
  })

  test('keeps a file that another object still needs', async () => {
    const { test, tool } = await three()
    await using _ = test
    test.now += 31 * dayMs
    const twin = make('twin', { nar: tool.nar })
    await test.push(twin)
    const report = await collect(test)
    expect(report.removed).toHaveLength(3)
    expect(report.removed.find(({ storePath }) => storePath === tool.path.storePath)?.bytes).toBe(0)
    expect((await test.read(twin)).equals(twin.file)).toBe(true)
  })

  test('keeps what pins name, and drops what only an older revision named', async () => {
    const { test, lib, app, tool } = await three()
    await using _ = test
    const pin = (storePath: string) =>
      test.depot.setPin({ name: 'ann/main', keepLast: 1, storePaths: [storePath], user: 'ann' })
    expect(await pin(make('nowhere').path.storePath)).toMatchObject({ status: 'refused', code: 'missing-reference' })
    expect(await pin(tool.path.storePath)).toBe('stored')
    test.now += 31 * dayMs
    expect(removedPaths(await collect(test, { isDryRun: true }))).toEqual(
      [app, lib].map(({ path }) => path.storePath).sort(),
    )
    await pin(app.path.storePath)
    expect(removedPaths(await collect(test))).toEqual([tool.path.storePath])
    expect(await test.depot.explain(lib.path.storePath)).toEqual([
      { storePath: app.path.storePath, why: 'pin ann/main' },
      { storePath: lib.path.storePath, why: 'reference' },
    ])
    expect(await test.depot.removePin('ann/main', 'ann')).toBe(true)
    expect(await test.depot.explain(lib.path.storePath)).toBeUndefined()
    expect(removedPaths(await collect(test))).toHaveLength(2)
    expect(filesOf(test)).toEqual([])
  })

  test('leaves alone the NARs whose narinfos are still to come, for a day', async () => {
    await using test = await TestDepot.openHere()
    const app = make('app', { tree: noise(10_000) })
    await test.send(app)
    test.now += 23 * hourMs
    await collect(test)
    await collect(test, { toBytes: 0 })
    expect(await test.register(app)).toEqual({ status: 'registered' })
    const late = make('late', { tree: noise(10_000) })
    await test.send(late)
    test.now += 25 * hourMs
    await collect(test)
    expect(await test.register(late)).toMatchObject({ status: 'refused', code: 'missing-nar' })
    expect(filesOf(test)).toHaveLength(1)
  })

  test('leaves alone for a day what a plan said to be present', async () => {
    const { test, lib, app } = await three()
    await using _ = test
    test.now += 2 * dayMs
    const { file: _file, ...path } = app.path
    expect((await test.depot.plan([path], 2 ** 20, 'ben')).paths).toEqual([{ status: 'present' }])
    test.now += 5 * hourMs
    await collect(test, { toBytes: 0 })
    expect([lib, app].map((made) => test.find(made) !== undefined)).toEqual([true, true])
    expect(await test.depot.explain(app.path.storePath)).toMatchObject([{ why: 'promised' }])
    test.now += 20 * hourMs
    await collect(test, { toBytes: 0 })
    expect(test.depot.figures()).toMatchObject({ objects: 0 })
  })

  test('ends pins that expired', async () => {
    const { test, tool } = await three()
    await using _ = test
    await test.depot.setPin({
      name: 'ann/pr-1',
      keepLast: 1,
      expiresAt: test.now + 40 * dayMs,
      storePaths: [tool.path.storePath],
      user: 'ann',
    })
    test.now += 39 * dayMs
    expect(removedPaths(await collect(test))).not.toContain(tool.path.storePath)
    test.now += 2 * dayMs
    expect(removedPaths(await collect(test))).toContain(tool.path.storePath)
  })

  test('to a size goes by last use, from what nothing refers to, and never takes pins or the last day', async () => {
    const { test, lib, app, tool } = await three()
    await using _ = test
    test.now += 2 * dayMs
    use(test, lib)
    await test.depot.noteUses()
    test.now += 3 * hourMs
    use(test, tool)
    await test.depot.noteUses()
    test.now += 3 * hourMs
    const fresh = make('fresh', { tree: noise(5_000) })
    await test.push(fresh)
    const all = test.depot.figures().usedBytes
    // app was used longest ago; lib before it is not free.
    expect(removedPaths(await collect(test, { toBytes: all - 1, isDryRun: true }))).toEqual([app.path.storePath])
    expect(removedPaths(await collect(test, { toBytes: all - app.file.length - 1, isDryRun: true }))).toEqual(
      [app, lib].map(({ path }) => path.storePath).sort(),
    )
    expect(await collect(test, { toBytes: 0 })).toMatchObject({ keptObjects: 1 })
    expect(test.find(fresh)).toBeDefined()
  })

  test('leaves alone what a push needs that came between plan and removal', async () => {
    const { test, lib } = await three()
    await using _ = test
    test.now += 31 * dayMs
    const late = make('late', { references: [lib.path.storePath] })
    await test.send(late)
    const [report, verdict] = await Promise.all([collect(test), test.register(late)])
    if (verdict.status === 'registered') expect(removedPaths(report)).not.toContain(lib.path.storePath)
    else expect(verdict).toMatchObject({ code: 'missing-reference' })
    const present = test.find(late)
    if (present)
      for (const reference of present.info.references) expect(test.depot.find(reference.slice(11, 43))).toBeDefined()
  })
})

describe('a push that needs room', () => {
  test('evicts what nothing keeps from 95 % on, down to 90 %, and is refused with numbers when all is kept', async () => {
    await using test = new TestDepot()
    await test.reopenHere({ maxBytes: 1_000_000 })
    const old = Array.from({ length: 9 }, (_, at) => make(`old-${at}`, { tree: noise(100_000) }))
    for (const made of old) {
      expect(await test.push(made)).toEqual({ status: 'registered' })
      test.now += 2 * hourMs
    }
    expect(await test.push(make('early', { tree: noise(200_000) }))).toMatchObject({
      status: 'refused',
      code: 'no-room',
      reason: expect.stringContaining('1000000'),
    })
    test.now += 2 * dayMs
    await test.depot.setPin({ name: 'ann/keep', keepLast: 1, storePaths: [old[0]!.path.storePath], user: 'ann' })
    expect(await test.push(make('new', { tree: noise(100_000) }))).toEqual({ status: 'registered' })
    expect(old.map((made) => test.find(made) !== undefined)).toEqual([
      true,
      false,
      false,
      ...Array.from({ length: 6 }, () => true),
    ])
    expect(test.depot.figures().usedBytes).toBeLessThanOrEqual(910_000)
    expect((await test.verify()).damaged).toEqual([])
  })

  test('evicts for many at once no more than they need together', async () => {
    await using test = new TestDepot()
    await test.reopenHere({ maxBytes: 1_000_000 })
    const old = Array.from({ length: 9 }, (_, at) => make(`old-${at}`, { tree: noise(100_000) }))
    for (const made of old) {
      await test.push(made)
      test.now += 2 * hourMs
    }
    test.now += 2 * dayMs
    const verdicts = await Promise.all(
      Array.from({ length: 3 }, (_, at) => test.push(make(`new-${at}`, { tree: noise(100_000) }))),
    )
    expect(verdicts).toEqual(verdicts.map(() => ({ status: 'registered' })))
    expect(old.filter((made) => test.find(made) !== undefined).length).toBeGreaterThanOrEqual(5)
  })

  test('gives up stalled uploads when objects are not enough', async () => {
    await using test = new TestDepot()
    await test.reopenHere({ maxBytes: 1_000_000 })
    await test.send(make('loose', { tree: noise(600_000) }))
    expect(await test.push(make('large', { tree: noise(500_000) }))).toMatchObject({ code: 'no-room' })
    test.now += 2 * hourMs
    expect(await test.push(make('large', { tree: noise(500_000) }))).toEqual({ status: 'registered' })
  })
})

describe('forget', () => {
  test('takes the path and all that refer to it, and does not take its content again until it is allowed', async () => {
    const { test, lib, app, tool } = await three()
    await using _ = test
    await test.depot.setPin({ name: 'ann/x', keepLast: 1, storePaths: [lib.path.storePath], user: 'ann' })
    expect([...((await test.depot.forget([lib.path.storePath], 'root')) as string[])].sort()).toEqual(
      [app, lib].map(({ path }) => path.storePath).sort(),
    )
    expect([lib, app, tool].map((made) => test.find(made) !== undefined)).toEqual([false, false, true])
    expect(filesOf(test)).toHaveLength(2)
    expect(await test.push(lib)).toMatchObject({ status: 'refused', code: 'policy' })
    expect((await test.depot.plan([lib.path], 2 ** 20, 'ann')).paths).toMatchObject([
      { status: 'refused', code: 'policy' },
    ])
    expect(await test.push(make('lib', { tree: file('another') }))).toEqual({ status: 'registered' })
    await test.depot.forget([lib.path.storePath], 'root')
    expect(await test.depot.allow(lib.path.storePath, 'root')).toBe(true)
    expect(await test.push(lib)).toEqual({ status: 'registered' })
    expect(test.depot.who(lib.path.storePath).map(({ action }) => action)).toContain('forget')
  })

  test('what one user pushed since a time', async () => {
    const { test, tool } = await three()
    await using _ = test
    test.now += dayMs
    const [bad, worse] = [make('bad'), make('worse')]
    for (const made of [bad, worse]) await test.push(made, ben)
    await test.push(make('fine'), ann)
    expect([...((await test.depot.forgetPushedBy('ben', test.now - hourMs, 'root')) as string[])].sort()).toEqual(
      [bad, worse].map(({ path }) => path.storePath).sort(),
    )
    expect(test.find(tool)).toBeDefined()
    expect(test.find(make('fine'))).toBeDefined()
  })
})

describe('over random graphs, pins, uses and pushes', () => {
  interface Step {
    readonly kind: 'push' | 'use' | 'promise' | 'pin' | 'unpin' | 'collect' | 'evict' | 'wait' | 'forget' | 'race'
    readonly a: number
    readonly b: number
  }
  const step: fc.Arbitrary<Step> = fc.record({
    kind: fc.constantFrom(
      'push',
      'push',
      'push',
      'use',
      'promise',
      'pin',
      'unpin',
      'collect',
      'evict',
      'wait',
      'wait',
      'forget',
      'race',
    ),
    a: fc.nat(11),
    b: fc.nat(2 ** 20),
  })

  test('no kept object ever refers to an absent one, what must be kept is kept, and a dry run equals the run', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
        await using test = new TestDepot()
        await test.reopenHere({ reserveBytes: 0 })
        /** Object n refers to some of those before it. */
        const names = Array.from({ length: 12 }, (_, at) => `${storeDir}/${make(`n${at}`).path.storePath.slice(11)}`)
        const objects = names.map((storePath, at) => {
          const references = names.filter((_name, other) => other < at && (((at * 2654435761) >>> other) & 3) === 0)
          return make(`n${at}`, { storePath, references, compression: 'none', tree: noise(200 + at * 50) })
        })
        const pinned = new Map<string, string>()
        const touched = new Map<string, number>()
        const pushedAt = new Map<string, number>()
        const promisedAt = new Map<string, number>()
        const has = (storePath: string) => test.depot.find(storePath.slice(11, 43)) !== undefined
        const push = async (at: number) => {
          const made = objects[at]!
          const isNew = !has(made.path.storePath)
          const { status } = await test.push(made)
          if (status !== 'registered' && status !== 'present') return
          if (isNew) pushedAt.set(made.path.storePath, test.now)
          touched.set(made.path.storePath, test.now)
        }
        const check = (isEviction: boolean) => {
          for (const { path } of objects) {
            if (has(path.storePath))
              for (const reference of path.references)
                if (!has(reference)) throw new Error(`${path.storePath} refers to ${reference}, which is gone`)
          }
          const kept = [...pinned.values()]
          for (const [storePath, at] of [...pushedAt, ...promisedAt]) if (at > test.now - dayMs) kept.push(storePath)
          for (const [storePath, at] of touched)
            if (at > test.now - (isEviction ? hourMs : 30 * dayMs - 2 * hourMs)) kept.push(storePath)
          for (const storePath of kept) if (!has(storePath)) throw new Error(`${storePath} must have been kept`)
        }
        const forgetGone = () => {
          for (const { path } of objects) {
            if (has(path.storePath)) continue
            touched.delete(path.storePath)
            pushedAt.delete(path.storePath)
            promisedAt.delete(path.storePath)
          }
        }
        for (const { kind, a, b } of steps) {
          const { storePath } = objects[a]!.path
          if (kind === 'push') await push(a)
          else if (kind === 'use' && has(storePath)) {
            test.depot.leases.covers(storePath)
            touched.set(storePath, test.now)
          } else if (kind === 'promise' && has(storePath)) {
            const { file: _file, ...path } = objects[a]!.path
            expect((await test.depot.plan([path], 2 ** 20, 'ann')).paths).toEqual([{ status: 'present' }])
            touched.set(storePath, test.now)
            promisedAt.set(storePath, test.now)
          } else if (kind === 'pin' && has(storePath)) {
            await test.depot.setPin({ name: `ann/p${b % 3}`, keepLast: 1, storePaths: [storePath], user: 'ann' })
            pinned.set(`ann/p${b % 3}`, storePath)
          } else if (kind === 'unpin') {
            await test.depot.removePin(`ann/p${b % 3}`, 'ann')
            pinned.delete(`ann/p${b % 3}`)
          } else if (kind === 'wait') test.now += [hourMs / 2, 3 * hourMs, 2 * dayMs, 31 * dayMs][b % 4]!
          else if (kind === 'forget' && has(storePath) && b % 4 === 0) {
            await test.depot.forget([storePath], 'root')
            await test.depot.allow(storePath, 'root')
            for (const [name, path] of pinned) if (!has(path)) pinned.delete(name)
          } else if (kind === 'collect' || kind === 'evict') {
            const options = kind === 'evict' ? { toBytes: b % 4000 } : {}
            const dry = await collect(test, { ...options, isDryRun: true })
            const run = await collect(test, options)
            expect(run).toEqual(dry)
            check(kind === 'evict')
          } else if (kind === 'race') {
            await Promise.all([collect(test), push(a), push(b % 12), collect(test, { toBytes: b % 4000 })])
            check(true)
          }
          forgetGone()
        }
        for (const made of objects) if (test.find(made)) expect((await test.read(made)).equals(made.file)).toBe(true)
        // Loose NARs aside, what lies there is what the rows say.
        test.now += 2 * dayMs
        await collect(test)
        expect((await test.verify()).damaged).toEqual([])
      }),
      { numRuns: 40 },
    )
  }, 600_000)
})
