/** The page at `/`, as a browser shows it. */
import { afterAll, beforeAll, describe, expect } from '@jest/globals'

import { generateSecretKey } from '../../src/index.ts'
import { inBrowser, openBrowser, type TestBrowser } from '../fixtures/browser.ts'
import { openTestCache } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore
let browser: TestBrowser
const key = generateSecretKey('cache.example-1')

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  browser = openBrowser()
})

afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

describe('the index page in a browser', () => {
  inBrowser('shows what to paste', async () => {
    await using cache = await openTestCache(store, { signing: [key] })
    await using visit = await browser.open(cache.url, { login: 'ben:secret' })
    expect(visit.response.status()).toBe(200)
    expect(await visit.findFaults()).toEqual([])
    expect(await visit.weight()).toBeLessThan(50 * 1024)
    const text = await visit.page.textContent('main')
    expect(text).toContain(`extra-substituters = ${cache.url}\nextra-trusted-public-keys = ${key.publicKey}`)
    expect(text).toContain('machine 127.0.0.1 login ben password PASSWORD')
  })

  inBrowser('asks for no password on a public cache', async () => {
    await using cache = await openTestCache(store, { users: undefined })
    await using visit = await browser.open(cache.url)
    expect(await visit.page.textContent('body')).not.toMatch(/netrc|password/i)
  })

  inBrowser('copies a block with its button, which is absent without the script', async () => {
    await using cache = await openTestCache(store)
    await using visit = await browser.open(cache.url, { login: 'ben:secret' })
    await visit.page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await visit.page.getByText('nix.conf', { exact: true }).click()
    await visit.page.getByRole('button', { name: 'Copy /etc/nix/netrc, mode 0600, owned by root' }).click()
    await visit.page.getByRole('button', { name: 'Copied' }).waitFor()
    expect(await visit.page.evaluate('navigator.clipboard.readText()')).toBe(
      'machine 127.0.0.1 login ben password PASSWORD',
    )
    await using still = await browser.open(cache.url, { login: 'ben:secret', hasScript: false })
    expect(await still.page.getByRole('button', { name: /^Copy/ }).count()).toBe(0)
  })

  inBrowser('leads the keyboard to its content first, then through the navigation', async () => {
    await using cache = await openTestCache(store)
    await using visit = await browser.open(cache.url, { login: 'ben:secret' })
    const { page } = visit
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content')
    await page.keyboard.press('Enter')
    expect(await page.evaluate('document.activeElement.id')).toBe('main')
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Status')
  })
})

describe('an error page in a browser', () => {
  inBrowser('can be read by everybody', async () => {
    await using cache = await openTestCache(store)
    await using visit = await browser.open(`${cache.url}/no/such/page`, { login: 'ben:secret' })
    expect(visit.response.status()).toBe(404)
    expect((await visit.findFaults()).filter((fault) => !fault.includes('status of 404'))).toEqual([])
  })
})
