/** The page at `/`, as a browser shows it: Debian's chromium, where it is installed. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { chromium } from 'playwright-core'

import { generateSecretKey } from '../../src/index.ts'
import { ben, openTestCache } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'

const browserFile = (process.env.PATH ?? '')
  .split(delimiter)
  .map((dir) => join(dir, 'chromium'))
  .find((file) => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
const inBrowser = browserFile === undefined ? test.skip : test

let nix: NixFixture
let store: ScratchStore
const key = generateSecretKey('cache.example-1')

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
})

afterAll(() => nix[Symbol.asyncDispose]())

async function look(users: readonly (typeof ben)[] | undefined, width: number) {
  await using cache = await openTestCache(store, { signing: [key], users })
  const browser = await chromium.launch({ executablePath: browserFile!, args: ['--no-sandbox'] })
  try {
    const context = await browser.newContext({
      viewport: { width, height: 800 },
      httpCredentials: { username: 'ben', password: 'secret' },
    })
    const page = await context.newPage()
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    const response = await page.goto(cache.url)
    const isTooWide = await page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth')
    return {
      url: cache.url,
      status: response!.status(),
      text: String(await page.evaluate('document.body.innerText')),
      complaints,
      isTooWide,
    }
  } finally {
    await browser.close()
  }
}

describe('the index page in a browser', () => {
  inBrowser.each([1200, 390])('shows what to paste, whole, %d pixels wide', async (width) => {
    const { url, status, text, complaints, isTooWide } = await look([ben], width)
    expect({ status, complaints, isTooWide }).toEqual({ status: 200, complaints: [], isTooWide: false })
    expect(text).toContain(`extra-substituters = ${url}\nextra-trusted-public-keys = ${key.publicKey}`)
    expect(text).toContain('machine 127.0.0.1 login NAME password PASSWORD')
  })

  inBrowser('asks for no password on a public cache', async () => {
    expect((await look(undefined, 1200)).text).not.toMatch(/netrc|password/i)
  })
})
