/** From exchanges to figures, with a clock that the test turns. */
import { describe, expect, test } from '@jest/globals'

import type { UsagePeriod, UsageSummary } from '../../../src/index.ts'
import { dayMs, hashPart, hourMs, miss, openTestAnalytics, pathOf, startAt, type TestAnalytics } from './open.ts'

async function read({ analytics }: TestAnalytics, period: UsagePeriod = { days: 7 }): Promise<UsageSummary> {
  const summary = await analytics.usage.summarize(period)
  if (summary === undefined) throw new Error('no figures')
  return summary
}

describe('usage figures', () => {
  test('requests, bytes and downloads are summed up by day and user', async () => {
    await using usage = await openTestAnalytics()
    await usage.report({}, { user: 'ci', bytes: 100 }, { ...miss })
    usage.now += dayMs
    await usage.report({})
    const { total, days, users } = await read(usage)
    expect(total).toMatchObject({ requests: 4, bytes: 910, downloads: 3, cut: 0 })
    expect(days).toHaveLength(7)
    expect(days.slice(-3).map(({ day, requests, bytes }) => [day, requests, bytes])).toEqual([
      ['2026-11-26', 0, 0],
      ['2026-11-27', 3, 510],
      ['2026-11-28', 1, 400],
    ])
    expect(days.at(-2)!.users).toEqual([
      { user: 'ben', requests: 2, bytes: 410 },
      { user: 'ci', requests: 1, bytes: 100 },
    ])
    expect(users.map(({ user, requests, lastAt }) => [user, requests, lastAt])).toEqual([
      ['ben', 3, startAt + dayMs],
      ['ci', 1, startAt],
    ])
  })

  test('a batch ends with its hour, so that midnight divides days', async () => {
    await using usage = await openTestAnalytics()
    usage.now = Date.parse('2026-11-27T23:59:58Z')
    usage.analytics.observer.exchanged({ ...miss })
    expect(usage.timers).toEqual([2000])
    usage.now += 2000
    usage.fireTimers()
    usage.analytics.observer.exchanged({ ...miss })
    expect(usage.timers).toEqual([5000])
    expect((await read(usage)).days.slice(-2).map(({ day, requests }) => [day, requests])).toEqual([
      ['2026-11-27', 1],
      ['2026-11-28', 1],
    ])
  })

  test('strangers are not counted, for nothing', async () => {
    await using usage = await openTestAnalytics()
    const stranger = { user: undefined, isAdmitted: false, status: 401, nar: undefined, attemptedUser: 'ben' }
    await usage.report(stranger, { ...miss, ...stranger }, { ...stranger, status: 429 })
    expect(await read(usage)).toMatchObject({ total: { requests: 0 }, users: [], missed: [], missedAsks: 0 })
    expect(usage.analytics.usage.activity().size).toBe(0)
  })

  test('on a public cache, requests without a login are one user', async () => {
    await using usage = await openTestAnalytics()
    await usage.report({ user: undefined }, { user: undefined })
    expect((await read(usage)).users).toMatchObject([{ user: '', requests: 2 }])
    expect((await read(usage, { days: 7, user: '' })).total.requests).toBe(2)
  })

  test('a resumed download counts once, and saves as much as a whole one', async () => {
    await using usage = await openTestAnalytics()
    const nar = { wholeBytes: 400, insteadOfBytes: 1000 }
    await usage.report(
      { bytes: 150, isComplete: false, nar: { ...nar, reachesEnd: true } },
      { bytes: 250, status: 206, nar: { ...nar, reachesEnd: true } },
      // A range in the middle is no download.
      { bytes: 10, status: 206, nar: { ...nar, insteadOfBytes: undefined, reachesEnd: false } },
    )
    const { total, paths } = await read(usage)
    expect(total).toMatchObject({ downloads: 1, cut: 1, bytes: 410, compressionSaved: 600 })
    expect(paths).toEqual([{ storePath: pathOf(1), downloads: 1, bytes: 410, users: 1, lastAt: startAt }])
  })

  test('what was saved is told apart: compression, deltas, upstreams', async () => {
    await using usage = await openTestAnalytics()
    await usage.report(
      { servedFrom: 'delta', bytes: 20, nar: { wholeBytes: 20, insteadOfBytes: 300, reachesEnd: true } },
      { servedFrom: 'upstream', bytes: 70, nar: { wholeBytes: 70, insteadOfBytes: 70, reachesEnd: true } },
      // Compressed while it was sent: its size was not known in advance.
      { servedFrom: 'fill', bytes: 40, nar: { wholeBytes: undefined, insteadOfBytes: 100, reachesEnd: true } },
      // Incompressible: nothing is saved, and nothing lost.
      { bytes: 110, nar: { wholeBytes: 110, insteadOfBytes: 100, reachesEnd: true } },
    )
    expect((await read(usage)).total).toMatchObject({ compressionSaved: 60, deltaSaved: 280, upstreamBytes: 70 })
  })

  test('pushes are counted by user', async () => {
    await using usage = await openTestAnalytics()
    const push = { receivedBytes: 5000, registered: 2, refused: 0, refusal: undefined }
    await usage.report({ user: 'ci', route: 'push', nar: undefined, bytes: 0, push })
    expect((await read(usage)).users).toMatchObject([{ user: 'ci', pushedPaths: 2, receivedBytes: 5000, downloads: 0 }])
  })

  test('paths: how often, how much, by how many, when last', async () => {
    await using usage = await openTestAnalytics()
    await usage.report({}, { user: 'ci' }, { storePath: pathOf(2, 'big-1.0'), bytes: 9000 })
    usage.now += 2 * dayMs
    await usage.report({})
    expect((await read(usage)).paths).toEqual([
      { storePath: pathOf(2, 'big-1.0'), downloads: 1, bytes: 9000, users: 1, lastAt: startAt },
      { storePath: pathOf(1), downloads: 3, bytes: 1200, users: 2, lastAt: startAt + 2 * dayMs },
    ])
    const { usage: figures } = usage.analytics
    expect(await figures.ofPath(pathOf(1), 7)).toMatchObject({ downloads: 3, users: 2, lastAt: startAt + 2 * dayMs })
    expect(await figures.ofPath(pathOf(1), 2)).toMatchObject({ downloads: 1, users: 1 })
    expect(await figures.ofPath(pathOf(77), 7)).toEqual({
      ...{ storePath: pathOf(77), downloads: 0, bytes: 0, users: 0, lastAt: undefined },
    })
  })

  test('a user sees no figure of another', async () => {
    await using usage = await openTestAnalytics()
    const slow = { bytes: 2 * 1024 * 1024, durationMs: 60_000 }
    await usage.report({ user: 'ci', ...slow }, { ...miss, user: 'ci' }, { storePath: pathOf(2) })
    usage.analytics.tunnelChanged({ state: 'connected', reason: '' } as never)
    usage.analytics.tunnelChanged({ state: 'reconnecting', reason: 'lost' } as never)
    const own = await read(usage, { days: 7, user: 'ben' })
    expect(own).toMatchObject({
      total: { requests: 1 },
      users: [{ user: 'ben' }],
      paths: [{ storePath: pathOf(2) }],
      ...{ missed: [], missedAsks: 0, slowest: [], drops: [] },
    })
    expect(JSON.stringify(own)).not.toMatch(/ci|lost/)
    const unknown = await read(usage, { days: 7, user: "' or 1=1 --" })
    expect(unknown).toMatchObject({ total: { requests: 0 }, users: [], paths: [], slowest: [] })
  })
})

describe('asked for and not here', () => {
  test('most users first, then most requests; times of the first and the last', async () => {
    await using usage = await openTestAnalytics()
    await usage.report({ ...miss }, { ...miss }, { ...miss }, { ...miss, missed: [hashPart(98)] })
    usage.now += hourMs
    await usage.report({ ...miss, user: 'ci', missed: [hashPart(98)] })
    const { missed, missedAsks } = await read(usage)
    expect(missedAsks).toBe(5)
    expect(missed).toEqual([
      { hashPart: hashPart(98), name: undefined, asks: 2, users: 2, firstAt: startAt, lastAt: startAt + hourMs },
      { hashPart: hashPart(99), name: undefined, asks: 3, users: 1, firstAt: startAt, lastAt: startAt },
    ])
  })

  test('a path that was downloaded before has its name; one that was downloaded later is not missed', async () => {
    await using usage = await openTestAnalytics()
    await usage.report({ storePath: pathOf(99, 'gone-2.1') })
    usage.now += hourMs
    await usage.report({ ...miss }, { ...miss, missed: [hashPart(97)] })
    expect((await read(usage)).missed).toMatchObject([{ hashPart: hashPart(97) }, { name: 'gone-2.1' }])
    usage.now += hourMs
    await usage.report({ storePath: pathOf(97) })
    expect((await read(usage)).missed).toMatchObject([{ hashPart: hashPart(99) }])
  })

  test('names: of derivations for all, of own downloads for a user alone', async () => {
    const findExpected = (part: string) => (part === hashPart(98) ? pathOf(98, 'planned-1.0') : undefined)
    await using usage = await openTestAnalytics({ findExpected })
    await usage.report({ user: 'ci', storePath: pathOf(99, 'of-ci') }, { storePath: pathOf(97, 'of-ben') })
    usage.now += hourMs
    await usage.report(...[97, 98, 99].map((number) => ({ ...miss, missed: [hashPart(number)] })))
    const names = async (period: UsagePeriod) => (await read(usage, period)).missed.map(({ name }) => name)
    expect(await names({ days: 7 })).toEqual(['of-ben', 'planned-1.0', 'of-ci'])
    expect(await names({ days: 7, user: 'ben' })).toEqual(['of-ben', undefined, undefined])
  })

  test('what a store has by now is left out', async () => {
    await using usage = await openTestAnalytics({ isHere: async (part) => part === hashPart(98) })
    await usage.report({ ...miss, missed: [hashPart(98), hashPart(99)] })
    expect((await read(usage)).missed).toMatchObject([{ hashPart: hashPart(99) }])
  })
})

describe('slowest transfers', () => {
  test('keeps the slowest large ones of each user and day, and says which were interrupted', async () => {
    await using usage = await openTestAnalytics()
    const bytes = 2 * 1024 * 1024
    await usage.report(
      ...Array.from({ length: 40 }, (_, at) => ({ storePath: pathOf(at), bytes, durationMs: 1000 + at })),
      { storePath: pathOf(50), bytes: 1000, durationMs: 1e6 },
    )
    await usage.report({ storePath: pathOf(60), bytes, durationMs: 5000, isComplete: false, user: 'ci' })
    const { slowest } = await read(usage)
    expect(slowest).toHaveLength(11)
    expect(slowest[0]).toEqual({
      ...{ at: startAt, user: 'ci', storePath: pathOf(60), bytes, durationMs: 5000, isComplete: false },
    })
    expect(slowest[1]).toMatchObject({ storePath: pathOf(39), durationMs: 1039, isComplete: true })
  })
})

describe('tunnel drops', () => {
  const at = (state: string, reason = '', isStopping = false) => ({ state, reason, isStopping }) as never

  test('one for each loss, with its length; neither the start nor a stop is one', async () => {
    await using usage = await openTestAnalytics()
    const { tunnelChanged } = usage.analytics
    tunnelChanged(at('starting'))
    tunnelChanged(at('backing-off', 'no network'))
    tunnelChanged(at('connected'))
    tunnelChanged(at('degraded'))
    usage.now += hourMs
    tunnelChanged(at('reconnecting', 'lost all connections'))
    tunnelChanged(at('backing-off', 'it exited'))
    usage.now += 90_000
    tunnelChanged(at('connected'))
    usage.now += hourMs
    tunnelChanged(at('reconnecting', 'x'.repeat(5000)))
    const { drops } = await read(usage)
    expect(drops).toEqual([
      { from: startAt + 2 * hourMs + 90_000, until: undefined, reason: 'x'.repeat(200) },
      { from: startAt + hourMs, until: startAt + hourMs + 90_000, reason: 'lost all connections' },
    ])
    usage.now += 1000
    tunnelChanged(at('reconnecting', '', true))
    expect((await read(usage)).drops[0]).toMatchObject({ until: usage.now })
  })

  test('one that lasts when Burrow stops ends there', async () => {
    await using usage = await openTestAnalytics()
    usage.analytics.tunnelChanged(at('connected'))
    usage.analytics.tunnelChanged(at('failed', 'revoked'))
    usage.now += 5000
    await usage.reopen()
    expect((await read(usage)).drops).toEqual([{ from: startAt, until: startAt + 5000, reason: 'revoked' }])
  })
})

describe('activity', () => {
  test('last seen, requests, bytes and network by user, at once and after a restart', async () => {
    await using usage = await openTestAnalytics()
    const push = { receivedBytes: 7, registered: 0, refused: 0, refusal: undefined }
    await usage.report({}, { address: '2001:db8:12:34::1', push, route: 'push', nar: undefined })
    const wanted = {
      ...{ lastSeen: new Date(startAt), requests: 2, sentBytes: 800, receivedBytes: 7, address: '2001:db8:12::/48' },
    }
    expect(usage.analytics.usage.activity()).toEqual(new Map([['ben', wanted]]))
    await usage.reopen()
    await read(usage)
    const { address, ...figures } = usage.analytics.usage.activity().get('ben')!
    expect(figures).toEqual({ ...wanted, address: undefined, ...figures, requests: 2, sentBytes: 800 })
    expect(['2001:db8:12::/48', '203.0.113.0/24']).toContain(address)
  })

  test('networks are forgotten after some days, in memory and in the file', async () => {
    await using usage = await openTestAnalytics({ keepAddressesDays: 7 })
    await usage.report({})
    usage.now += 7 * dayMs
    expect(usage.analytics.usage.activity().get('ben')).toMatchObject({ address: undefined, requests: 1 })
    await usage.report({ user: 'ci' })
    await usage.reopen()
    await read(usage)
    expect(usage.analytics.usage.activity().get('ben')!.address).toBeUndefined()
    expect(usage.analytics.usage.activity().get('ci')!.address).toBe('203.0.113.0/24')
  })

  test('no network is stored if none is to be kept', async () => {
    await using usage = await openTestAnalytics({ keepAddressesDays: 0 })
    await usage.report({})
    expect(usage.analytics.usage.activity().get('ben')!.address).toBeUndefined()
    await usage.reopen()
    await read(usage)
    expect(usage.analytics.usage.activity().get('ben')!.address).toBeUndefined()
  })
})
