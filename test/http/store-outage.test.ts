/** What clients hear of a store that cannot be read. */
import { rename } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Fault } from '../../src/faults.ts'
import { createStoreOutage, watchForOutage } from '../../src/http/store-outage.ts'
import { silentLog } from '../../src/log.ts'
import { openTestCache } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
})
afterAll(() => nix[Symbol.asyncDispose]())

describe('createStoreOutage', () => {
  test('answers 503 for as long as Nix tries again and 404 afterwards, says so once, and begins anew after the store was readable', () => {
    const clock = { ms: 0 }
    const logged: string[] = []
    const note = (_fields: object, message: string) => void logged.push(message)
    const outage = createStoreOutage({ ...silentLog, error: note, info: note }, () => clock.ms)
    outage.end()
    expect(outage.status()).toBe(503)
    clock.ms = 3_499
    expect(outage.status()).toBe(503)
    clock.ms = 3_500
    expect([outage.status(), outage.status(), outage.isHidden]).toEqual([404, 404, true])
    expect(logged.length).toBe(1)
    outage.end()
    expect([outage.isHidden, outage.status(), logged.length]).toEqual([false, 503, 2])
  })

  test('leaves a store that could never be read to its adapter: there may be no Nix yet', () => {
    const clock = { ms: 0 }
    const logged: string[] = []
    const outage = createStoreOutage(
      { ...silentLog, error: (_fields, message) => void logged.push(message) },
      () => clock.ms,
    )
    outage.status()
    clock.ms = 5_000
    expect([outage.status(), outage.isHidden, logged]).toEqual([404, true, []])
  })
})

test('watchForOutage knows of an outage although nobody asks, of one of several stores too, and of its end', () => {
  const clock = { ms: 0, wake: () => {} }
  const outage = createStoreOutage(silentLog, () => clock.ms)
  let generation = () => 1
  const stop = watchForOutage(
    outage,
    () => generation(),
    (ms, callback) => {
      clock.wake = () => {
        clock.ms += ms
        callback()
      }
      return () => {
        clock.wake = () => {}
      }
    },
  )
  const wakeTimes = (times: number) => {
    for (let time = 0; time < times; time++) clock.wake()
    return outage.isHidden
  }
  expect(wakeTimes(10)).toBe(false)
  const unavailable = () => {
    throw new Fault('store-unavailable', 'away')
  }
  for (const away of [unavailable, () => Number.NaN]) {
    generation = away
    expect([wakeTimes(4), wakeTimes(1)]).toEqual([false, true])
    generation = () => 1
    expect(wakeTimes(1)).toBe(false)
  }
  generation = unavailable
  stop()
  expect(wakeTimes(10)).toBe(false)
})

test('a build that could do without a cache whose store is away ends well, as soon as Nix has tried again', async () => {
  const path = await store.addFile('thing', 'x')
  await using cache = await openTestCache(store)
  const narInfo = `/${path.slice(11, 43)}.narinfo`
  expect((await cache.get(narInfo)).status).toBe(200)
  await rename(store.database, `${store.database}.away`)
  try {
    expect((await cache.get(narInfo)).status).toBe(503)
    const firstMs = performance.now()
    let status = 503
    while (status === 503) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      const answer = await cache.get(narInfo)
      status = answer.status
      if (status === 404) expect(answer.headers['cache-control']).toBe('no-store')
    }
    expect(status).toBe(404)
    expect(performance.now() - firstMs).toBeGreaterThan(2_500)
    expect(cache.cache.stats.answersAbsent).toBe(true)
    expect(
      cache.log.some(({ level, message }) => level === 'error' && /answering 404 for its paths/.test(message)),
    ).toBe(true)
  } finally {
    await rename(`${store.database}.away`, store.database)
  }
  // The adapter tries again once a second.
  let status = 404
  while (status !== 200) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    status = (await cache.get(narInfo)).status
  }
  expect(cache.cache.stats.answersAbsent).toBe(false)
})

test('a NAR that is asked for in vain for a moment is answered so that Nix goes on where it was', async () => {
  const path = await store.addFile('resumed', 'x'.repeat(100_000))
  await using cache = await openTestCache(store)
  const url = /^URL: (.*)$/m.exec((await cache.get(`/${path.slice(11, 43)}.narinfo`)).body.toString())![1]
  await rename(store.database, `${store.database}.away`)
  try {
    const { status, headers } = await cache.get(`/${url}`, { headers: { range: 'bytes=10-' } })
    expect([status, headers['accept-ranges']]).toEqual([503, 'bytes'])
  } finally {
    await rename(`${store.database}.away`, store.database)
  }
})
