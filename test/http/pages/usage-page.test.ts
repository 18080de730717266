/** `/usage` of the real cache with real figures: who sees what, and how it looks in a browser. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'

import { type Analytics, openAnalytics } from '../../../appliance/analytics/analytics.ts'
import { type Exchange, silentLog, type User } from '../../../src/index.ts'
import { dayMs, download, hashPart, miss, pathOf, startAt } from '../../appliance/analytics/open.ts'
import { createScratchDir, type ScratchDir } from '../../appliance/scratch-dir.ts'
import { inBrowser, openBrowser, type TestBrowser } from '../../fixtures/browser.ts'
import { basic, ben, openTestCache, type TestCache } from '../../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'

const hostile = `<script>alert(1)</script>"'&\u202e`
const ana: User = { ...ben, name: 'ana', access: new Set(['pull', 'admin']) }
const users: readonly User[] = [ben, ana, { ...ben, name: 'bot', access: new Set(['push']) }, { ...ben, name: hostile }]

let nix: NixFixture
let store: ScratchStore
let browser: TestBrowser
let dir: ScratchDir
let analytics: Analytics
let now = startAt

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  browser = openBrowser()
})

afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

beforeEach(async () => {
  dir = await createScratchDir()
  now = startAt
})

function openFigures(): Analytics {
  analytics = openAnalytics({
    ...{ stateDir: dir.path, storeDir: '/nix/store', keepDays: 400, keepAddressesDays: 7, log: silentLog },
    isHere: async () => false,
    findExpected: () => undefined,
    now: () => now,
    after: () => () => {},
  })
  return analytics
}

async function open(change: Parameters<typeof openTestCache>[1] = {}) {
  await using opening = new AsyncDisposableStack()
  opening.use(dir)
  const figures = opening.use(openFigures())
  const cache = opening.use(await openTestCache(store, { users, usage: figures.usage, ...change }))
  const opened = opening.move()
  return { cache, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

const report = (...exchanges: readonly Partial<Exchange>[]) => {
  for (const exchange of exchanges) analytics.observer.exchanged({ ...download, ...exchange })
}

/** Some weeks of several users, with everything that the page can show. */
async function reportMuch(): Promise<void> {
  const names = ['ben', 'ci', hostile, 'chris', 'dora', 'emil', 'fatima']
  now -= 25 * dayMs
  for (let day = 0; day <= 25; day++, now += dayMs) {
    for (const [at, user] of names.entries())
      report({ user, storePath: pathOf(at + day, `path-${day}-${hostile}`), bytes: 1000 * (at + 1) * (day + 1) })
    report({ ...miss, user: names[day % 7], missed: [hashPart(500 + (day % 20))] })
    report({ user: 'ci', storePath: pathOf(900 + day, `large-${day}`), bytes: 5_000_000, durationMs: 9000 + day })
    analytics.tunnelChanged({ state: 'connected', reason: '' } as never)
    if (day % 3 === 0) analytics.tunnelChanged({ state: 'reconnecting', reason: hostile } as never)
    analytics.observer.exchanged({ ...download, user: 'ci', isComplete: false, bytes: 2_000_000 })
    await analytics.usage.summarize({ days: 1 })
  }
  now -= dayMs
}

const page = async (cache: TestCache, path: string, user = 'ben') => {
  const { status, headers, body } = await cache.get(path, {
    headers: { authorization: basic(user, 'secret'), accept: 'text/html' },
  })
  return { status, headers, text: body.toString() }
}

describe('who sees what', () => {
  test('an administrator sees all users, and each of them; others only themselves', async () => {
    await using opened = await open()
    const { cache } = opened
    report({ storePath: pathOf(1, 'of-ben') }, { user: 'ci', storePath: pathOf(2, 'of-ci') })
    const all = await page(cache, '/usage', 'ana')
    expect(all.status).toBe(200)
    expect(all.text).toContain('of-ben')
    expect(all.text).toContain('of-ci')
    expect((await page(cache, '/usage?user=ci', 'ana')).text).toMatch(/Usage of ci.*of-ci/s)
    expect((await page(cache, '/usage?user=ci', 'ana')).text).not.toContain('of-ben')
    for (const path of ['/usage', '/usage?user=ben', '/usage?days=400&user=ben']) {
      const own = await page(cache, path)
      expect([own.status, own.text.includes('of-ben'), own.text.includes('of-ci')]).toEqual([200, true, false])
      expect(own.text).toContain('<h1>Your usage</h1>')
    }
  })

  test('losses of the tunnel are a section only where there is a tunnel, or was one', async () => {
    const tunnel = { grade: 'ok', state: 'connected', since: new Date(), restarts: 0 } as const
    const details = { lastConnected: undefined, reason: '', remedy: undefined }
    const traffic = { requests: 0, bytes: 0, pushedPaths: 0, receivedBytes: 0 }
    const service = { startedAt: new Date(), traffic, tunnel: { ...tunnel, ...details } }
    for (const [readService, expected] of [
      [() => undefined, false],
      [() => ({ ...service, tunnel: undefined }), false],
      [() => service, true],
    ] as const) {
      await using opened = await open({ readService })
      report({})
      expect((await page(opened.cache, '/usage', 'ana')).text.includes('The tunnel was not lost')).toBe(expected)
      dir = await createScratchDir()
    }
    await using opened = await open()
    report({})
    analytics.tunnelChanged({ state: 'connected', reason: '' } as never)
    analytics.tunnelChanged({ state: 'reconnecting', reason: 'the line' } as never)
    now += 1000
    analytics.tunnelChanged({ state: 'connected', reason: '' } as never)
    expect((await page(opened.cache, '/usage', 'ana')).text).toContain('Lost 1 time')
  })

  test('names of paths lead to their pages, where there is one that the reader may see', async () => {
    const here = await store.addFile('here', 'here')
    await using opened = await open()
    const { cache } = opened
    const large = { bytes: 5_000_000, durationMs: 9000 }
    // Another path with the same hash part is not the one that is here.
    const other = here.replace(/here$/, 'other')
    for (const user of ['ben', 'bot'])
      for (const storePath of [here, other, pathOf(2, 'gone')]) report({ user, storePath, ...large })
    const { text } = await page(cache, '/usage')
    const link = `<a href="/path/${here.slice(11, 43)}" title="${here}">here</a>`
    // In the list of paths and in that of slow transfers.
    expect([text.split(link).length - 1, text.match(/href="\/path/g)!.length]).toEqual([2, 2])
    for (const name of ['other', 'gone']) expect(text).toContain(`${name}</span>`)
    const forPusher = await page(cache, '/usage', 'bot')
    expect(forPusher.text).toContain('here</span>')
    expect(forPusher.text).not.toContain('href="/path')
  })

  test.each([
    '/usage?user=ci',
    '/usage?user=',
    '/usage?user=BEN',
    '/usage?user=ben%00',
    '/usage?days=7&user=ci',
    '/usage?user=%63%69',
  ])('%s is refused to a user who is no administrator', async (path) => {
    await using opened = await open()
    const { cache } = opened
    report({ user: 'ci', storePath: pathOf(2, 'of-ci') })
    const { status, text } = await page(cache, path)
    expect(status).toBe(403)
    expect(text).not.toContain('of-ci')
  })

  test.each([
    '/usage?user=ci&user=ben',
    '/usage?user=ben&user=ci',
    '/usage?user[]=ci',
    '/usage?user[x]=ci',
    `/usage?user=${'x'.repeat(300)}`,
    '/usage?USER=ci',
  ])('%s shows a user nothing of another', async (path) => {
    await using opened = await open()
    const { cache } = opened
    report({ user: 'ci', storePath: pathOf(2, 'of-ci') })
    const { text } = await page(cache, path)
    expect(text).not.toMatch(/of-ci|Usage of/)
  })

  test('a user who may only push sees their own; a stranger gets 401, also below and beside it', async () => {
    await using opened = await open()
    const { cache } = opened
    report({ user: 'ci', storePath: pathOf(2, 'of-ci') })
    expect((await page(cache, '/usage', 'bot')).status).toBe(200)
    for (const path of ['/usage', '/usage?user=ci', '/usage/', '/%75sage', '//usage']) {
      const { status, body } = await cache.get(path, { headers: { authorization: basic('ben', 'wrong') } })
      expect([status, body.toString()]).toEqual([401, 'Unauthorized\n'])
    }
    expect((await cache.get('/usage', { method: 'POST' })).status).toBe(405)
  })

  test('a public cache has no such page, and neither has one that records nothing', async () => {
    await using opened = await open({ users: undefined })
    expect((await page(opened.cache, '/usage')).status).toBe(404)
    expect((await page(opened.cache, '/')).text).not.toContain('/usage')
    await using plain = await openTestCache(store, { users })
    expect((await page(plain, '/usage')).status).toBe(404)
  })
})

describe('the page', () => {
  test('without requests, it says what will be here', async () => {
    await using opened = await open()
    const { text, headers } = await page(opened.cache, '/usage')
    expect(text).toContain('No requests in this period')
    expect(headers['cache-control']).toBe('no-store')
    expect(headers['content-security-policy']).not.toContain('unsafe')
  })

  test.each(['0', '-5', '9999', 'x', '1e9', '7.5', ''])('days=%s is a period that there is', async (days) => {
    await using opened = await open()
    report({})
    const { status, text } = await page(opened.cache, `/usage?days=${days}`)
    expect(status).toBe(200)
    expect(text).not.toMatch(/NaN|Infinity|undefined/)
  })

  test.each([7, 30, 90, 400])(
    'of %d days is below 50 KB with many users and hostile names, which stay text',
    async (days) => {
      await using opened = await open()
      await reportMuch()
      const { text } = await page(opened.cache, `/usage?days=${days}`, 'ana')
      expect(Buffer.byteLength(text)).toBeLessThan(50_000)
      expect(text).toContain('&lt;script&gt;alert(1)&lt;/script&gt;')
      expect(text).not.toMatch(/<script>alert|\u202e|NaN|Infinity|undefined/)
      expect(text).toContain(`aria-current="true">${days} days`)
    },
  )

  test('shows the figures of its user, and links that keep the user', async () => {
    await using opened = await open()
    await reportMuch()
    const { text } = await page(opened.cache, `/usage?user=${encodeURIComponent(hostile)}`, 'ana')
    expect(text).toContain(`/usage?days=7&amp;user=${encodeURIComponent(hostile).replaceAll("'", '&#39;')}`)
    expect(text).not.toContain('large-')
  })

  test('while the figures cannot be read, it says to try again', async () => {
    await using opened = await open({
      usage: {
        keepDays: 400,
        summarize: async () => undefined,
        ofPath: async () => undefined,
        activity: () => new Map(),
      },
    })
    const { status, headers, text } = await page(opened.cache, '/usage')
    expect([status, headers['retry-after']]).toEqual([503, '5'])
    expect(text).toContain('cannot answer at the moment')
  })

  inBrowser.each(['/usage', '/usage?days=400&user=ci'])(
    '%s is right in a browser: three widths, two themes, no violation',
    async (path) => {
      await using opened = await open()
      await reportMuch()
      await using visit = await browser.open(opened.cache.url + path, { login: 'ana:secret' })
      // With the stylesheet and the script.
      expect(await visit.weight()).toBeLessThan(75_000)
      for (const summary of await visit.page.locator('summary').all()) await summary.click()
      expect(await visit.findFaults()).toEqual([])
    },
  )

  inBrowser('works without the script, and by keyboard', async () => {
    await using opened = await open()
    await reportMuch()
    await using visit = await browser.open(`${opened.cache.url}/usage`, { login: 'ana:secret', hasScript: false })
    await visit.page.getByRole('link', { name: '7 days' }).focus()
    await visit.page.keyboard.press('Enter')
    await visit.page.waitForURL('**/usage?days=7')
    await visit.page.locator('summary').first().focus()
    await visit.page.keyboard.press('Enter')
    expect(await visit.page.locator('details table').first().isVisible()).toBe(true)
  })

  inBrowser('columns stretch with the window, and their text does not', async () => {
    await using opened = await open()
    await reportMuch()
    await using visit = await browser.open(`${opened.cache.url}/usage`, { login: 'ana:secret' })
    const boxes = []
    for (const width of [390, 1600]) {
      await visit.page.setViewportSize({ width, height: 900 })
      const label = (await visit.page.locator('.plot-labels text').first().boundingBox())!
      const plot = (await visit.page.locator('.plot-bars').first().boundingBox())!
      boxes.push({ label: Math.round(label.height), plot: plot.width, height: plot.height, left: plot.x >= 0 })
    }
    expect(boxes[0]!.label).toBe(boxes[1]!.label)
    expect(boxes[1]!.plot).toBeGreaterThan(2 * boxes[0]!.plot)
    expect(boxes[0]!.height).toBe(boxes[1]!.height)
  })
})
