/** The file of usage figures: its limits, and what happens when it cannot be used. */
import { execFileSync, spawnSync } from 'node:child_process'
import { rmSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'

import { createUserSum } from '../../../appliance/analytics/batch.ts'
import { networkOf } from '../../../appliance/analytics/network.ts'
import { createRecorder } from '../../../appliance/analytics/recorder.ts'
import { deleteExcess, deleteOld } from '../../../appliance/analytics/retention.ts'
import { openUsageFile, type UsageDatabase } from '../../../appliance/analytics/usage-file.ts'
import { summarize } from '../../../appliance/analytics/usage-queries.ts'
import { defaultWriterLimits, UsageWriter } from '../../../appliance/analytics/usage-writer.ts'
import { createScratchDir } from '../scratch-dir.ts'
import { dayMs, download, hashPart, miss, openTestAnalytics, pathOf, startAt, storeDir } from './open.ts'

const forever = { keepDays: 400, keepAddressesDays: 7, maxBytes: Number.MAX_SAFE_INTEGER }

function batchOf(at: number, numbers: readonly number[], user = 'ben') {
  const sum = createUserSum(user)
  sum.requests = numbers.length
  for (const number of numbers) {
    sum.paths.set(pathOf(number).slice(storeDir.length + 1), { downloads: 1, bytes: 10 })
    sum.missed.set(hashPart(number + 1000), 1)
  }
  return { at, users: [sum], slow: [], drops: [] }
}

const range = (from: number, below: number) => Array.from({ length: below - from }, (_, at) => from + at)
const countOf = (database: UsageDatabase, table: string) =>
  Number(database.get(`select count(*) as n from ${table}`)!.n)

describe('limits', () => {
  test('a user who asks for everything gets so many rows a day, and leaves room for others', async () => {
    await using dir = await createScratchDir()
    using database = openUsageFile(dir.file('usage.sqlite')).database
    const limits = { downloadsPerDay: 12, downloadsPerUserDay: 10, missesPerDay: 12, missesPerUserDay: 10 }
    const writer = new UsageWriter(database, { ...defaultWriterLimits, ...limits })
    writer.add(batchOf(startAt, range(0, 8), 'greedy'))
    writer.add(batchOf(startAt, range(0, 30), 'greedy'))
    writer.add(batchOf(startAt, range(40, 45)))
    // One row for others, for each of both.
    expect([countOf(database, 'download'), countOf(database, 'miss')]).toEqual([14, 14])
    const { total, missed, missedAsks, paths } = summarize(database, storeDir, { days: 1 }, startAt)
    expect([total.requests, missed.length, missedAsks, paths.length]).toEqual([43, 12, 43, 12])
    expect(missed.some((one) => one.hashPart === '')).toBe(false)
    // Another writer, as after a restart, counts on; so does the next day, from zero.
    new UsageWriter(database, { ...defaultWriterLimits, ...limits }).add(batchOf(startAt, range(50, 60)))
    expect(countOf(database, 'download')).toBe(14)
    writer.add(batchOf(startAt + dayMs, range(60, 63)))
    expect(countOf(database, 'download')).toBe(17)
  })

  test('more users than the limit are counted together', async () => {
    await using dir = await createScratchDir()
    using database = openUsageFile(dir.file('usage.sqlite')).database
    const writer = new UsageWriter(database, { ...defaultWriterLimits, users: 3 })
    for (const user of ['a', 'b', 'c', 'd', 'e']) writer.add(batchOf(startAt, [1, 2], user))
    const { users, total } = summarize(database, storeDir, { days: 1 }, startAt)
    expect(users.map(({ user, requests }) => [user, requests])).toEqual([
      ['', 4],
      ['a', 2],
      ['b', 2],
      ['c', 2],
    ])
    expect(total.requests).toBe(10)
  })

  test('networks of a user and drops of a day are limited', async () => {
    await using dir = await createScratchDir()
    using database = openUsageFile(dir.file('usage.sqlite')).database
    const writer = new UsageWriter(database, { ...defaultWriterLimits, networksPerUser: 2, dropsPerDay: 3 })
    const sum = createUserSum('ben')
    for (const network of ['local', '203.0.113.0/24', '198.51.100.0/24']) sum.networks.add(network)
    const drops = range(0, 10).map((at) => ({ from: startAt + at, until: undefined, reason: 'lost' }))
    writer.add({ at: startAt, users: [sum], slow: [], drops })
    expect([countOf(database, 'network'), countOf(database, 'tunnel_drop')]).toEqual([2, 3])
  })

  test('the recorder names so many paths in a batch, and counts the others without their name', () => {
    const batches: Parameters<Parameters<typeof createRecorder>[0]['pass']>[0][] = []
    const recorder = createRecorder({
      pass: (batch) => batches.push(batch) > 0,
      now: () => startAt,
      after: () => () => {},
      keepsNetworks: true,
    })
    for (let number = 0; number < 30_000; number++) recorder.observer.exchanged({ ...miss, missed: [hashPart(number)] })
    for (let number = 0; number < 2000; number++) recorder.observer.exchanged({ ...miss, user: `user${number}` })
    recorder.flush()
    const { users } = batches[0]!
    expect(users[0]!.missed.size).toBe(20_001)
    expect(users[0]!.missed.get('')).toBe(10_000)
    expect(users.length).toBe(1001)
    expect(users.reduce((sum, { requests }) => sum + requests, 0)).toBe(32_000)
  })

  test('while the disk is slow, sums wait, and nothing is lost', () => {
    let isBusy = true
    const passed: number[] = []
    const timers: (() => void)[] = []
    const recorder = createRecorder({
      pass(batch) {
        if (!isBusy) passed.push(batch.users[0]!.requests)
        return !isBusy
      },
      now: () => startAt,
      after(_ms, callback) {
        timers.push(callback)
        return () => timers.splice(timers.indexOf(callback), 1)
      },
      keepsNetworks: true,
    })
    recorder.observer.exchanged(download)
    timers.pop()!()
    recorder.observer.exchanged(download)
    isBusy = false
    timers.pop()!()
    expect([passed, timers]).toEqual([[2], []])
  })
})

describe('retention', () => {
  test('figures older than the setting are deleted, and so are names that nothing refers to', async () => {
    await using dir = await createScratchDir()
    using database = openUsageFile(dir.file('usage.sqlite')).database
    const writer = new UsageWriter(database)
    for (const day of range(0, 10)) writer.add(batchOf(startAt + day * dayMs, [day], day === 0 ? 'old' : 'ben'))
    deleteOld(database, { ...forever, keepDays: 3 }, startAt + 9 * dayMs)
    const counts = ['hour', 'download', 'miss', 'user'].map((table) => countOf(database, table))
    expect([...counts, countOf(database, 'path')]).toEqual([3, 3, 3, 1, 4])
    expect(summarize(database, storeDir, { days: 400 }, startAt + 9 * dayMs).total.requests).toBe(3)
  })

  test('a file that is too large loses its oldest details, then its oldest sums, and never today’s', async () => {
    await using dir = await createScratchDir()
    using database = openUsageFile(dir.file('usage.sqlite')).database
    const writer = new UsageWriter(database)
    for (const day of range(0, 30)) writer.add(batchOf(startAt + day * dayMs, range(day * 300, (day + 1) * 300)))
    const now = startAt + 29 * dayMs
    const before = database.usedBytes
    deleteExcess(database, { ...forever, maxBytes: before / 2 }, now)
    expect(database.usedBytes).toBeLessThanOrEqual(before / 2)
    expect(statSync(dir.file('usage.sqlite')).size).toBeLessThanOrEqual(before / 2 + 8192)
    const { total, paths } = summarize(database, storeDir, { days: 400 }, now)
    expect(total.requests).toBe(9000)
    expect(paths.length).toBeGreaterThan(0)
    deleteExcess(database, { ...forever, maxBytes: 1 }, now)
    expect(summarize(database, storeDir, { days: 400 }, now).total.requests).toBe(300)
    expect(countOf(database, 'download')).toBe(300)
  })

  test('old figures are deleted while Burrow runs', async () => {
    await using usage = await openTestAnalytics({ keepDays: 2 })
    await usage.report({})
    usage.now += 2 * dayMs
    await usage.report({})
    expect((await usage.analytics.usage.summarize({ days: 400 }))!.total.requests).toBe(1)
  })
})

describe('trouble', () => {
  test('the file has mode 0600, and its companions too', async () => {
    await using usage = await openTestAnalytics()
    await usage.report({})
    const modes = ['', '-wal', '-shm'].map((suffix) => (statSync(usage.file + suffix).mode & 0o777).toString(8))
    expect(modes).toEqual(['600', '600', '600'])
  })

  test.each([
    ['garbage', (file: string) => writeFileSync(file, 'not a database, for sure'.repeat(500))],
    ['overwritten in the middle', (file: string) => damage(file)],
  ])('a damaged file (%s) is moved aside once, and counting goes on', async (_what, harm) => {
    await using usage = await openTestAnalytics()
    for (const number of range(0, 400)) usage.analytics.observer.exchanged({ ...download, storePath: pathOf(number) })
    await usage.analytics[Symbol.asyncDispose]()
    harm(usage.file)
    await usage.reopen()
    await usage.report({}, {})
    await usage.report({})
    expect((await usage.analytics.usage.summarize({ days: 1 }))!.total.requests).toBe(3)
    expect(usage.log).toEqual([
      {
        level: 'warn',
        fields: { file: usage.file, movedAside: `${usage.file}.damaged` },
        message: 'The file of usage figures was damaged: it was moved aside, and a new one begun',
      },
    ])
    expect(statSync(`${usage.file}.damaged`).size).toBeGreaterThan(0)
  })

  test('a file of a newer Burrow is left alone: one warning, no figures', async () => {
    await using usage = await openTestAnalytics()
    await usage.report({})
    await usage.analytics[Symbol.asyncDispose]()
    const database = openUsageFile(usage.file).database
    database.exec('PRAGMA user_version = 99')
    database[Symbol.dispose]()
    await usage.reopen()
    await usage.report({}, {})
    expect(await usage.analytics.usage.summarize({ days: 1 })).toBeUndefined()
    expect(await usage.analytics.usage.ofPath(pathOf(1), 7)).toBeUndefined()
    expect(usage.log.map(({ level, fields }) => [level, (fields as { reason: string }).reason])).toEqual([
      ['warn', `"${usage.file}" was written by a newer Burrow: install that again, or move the file away`],
    ])
  })

  test('a directory that disappears: one warning, then figures again when it is back', async () => {
    await using usage = await openTestAnalytics()
    await usage.analytics[Symbol.asyncDispose]()
    rmSync(usage.dir.path, { recursive: true })
    await usage.reopen()
    await usage.report({})
    await usage.report({})
    expect(usage.log.map(({ level }) => level)).toEqual(['warn'])
    execFileSync('mkdir', ['-m', '700', usage.dir.path])
    await usage.report({})
    expect((await usage.analytics.usage.summarize({ days: 1 }))!.total.requests).toBe(1)
    expect(usage.log.map(({ level, message }) => `${level} ${message}`)[1]).toBe('info Usage figures are stored again')
  })

  test('too many questions at once are refused, and requests are counted all the same', async () => {
    await using usage = await openTestAnalytics()
    const { usage: figures } = usage.analytics
    const answers = Array.from({ length: 100 }, () => {
      usage.analytics.observer.exchanged(download)
      return figures.summarize({ days: 1 })
    })
    const answered = (await Promise.all(answers)).filter((summary) => summary !== undefined)
    expect(answered.length).toBeGreaterThan(0)
    expect(answered.length).toBeLessThan(100)
    expect((await figures.summarize({ days: 1 }))!.total.requests).toBe(100)
  })

  const asRoot = process.geteuid?.() === 0 ? test : test.skip
  asRoot('a full disk: one warning, and figures again when there is room', async () => {
    await using usage = await openTestAnalytics()
    await usage.analytics[Symbol.asyncDispose]()
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', usage.dir.path]).status !== 0) return
    try {
      await usage.reopen()
      await usage.report({})
      const ballast = usage.dir.file('ballast')
      spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4k'])
      for (const number of range(0, 3000))
        usage.analytics.observer.exchanged({ ...download, storePath: pathOf(number) })
      await usage.analytics.usage.summarize({ days: 1 })
      expect(usage.log.map(({ level, message }) => `${level} ${message}`)).toEqual([
        'warn Cannot use the file of usage figures: requests are served, but not counted',
      ])
      rmSync(ballast)
      await usage.report({})
      expect(usage.log.at(-1)!.message).toBe('Usage figures are stored again')
      // The batch in between is lost, as the warning says.
      expect((await usage.analytics.usage.summarize({ days: 1 }))!.total.requests).toBe(2)
    } finally {
      await usage.analytics[Symbol.asyncDispose]()
      spawnSync('umount', [usage.dir.path])
    }
  })
})

test.each([
  ['203.0.113.77', '203.0.113.0/24'],
  ['::ffff:203.0.113.77', '203.0.113.0/24'],
  ['127.0.0.1', 'local'],
  ['::ffff:127.0.0.1', 'local'],
  ['::1', 'local'],
  ['local', 'local'],
  ['2001:db8:12:34::1', '2001:db8:12::/48'],
  ['2001:0DB8::1', '2001:db8:0::/48'],
  ['::2', '0:0:0::/48'],
  ['fe80::1%eth0', 'fe80:0:0::/48'],
  ['x', undefined],
  ['<script>', undefined],
])('networkOf %s is %s', (address, wanted) => expect(networkOf(address)).toBe(wanted))

/** Overwrites every page but the first, which has the schema. */
function damage(file: string): void {
  const { size } = statSync(file)
  execFileSync('dd', ['if=/dev/urandom', `of=${file}`, 'bs=4096', 'seek=1', `count=${size / 4096 - 1}`, 'conv=notrunc'])
}
