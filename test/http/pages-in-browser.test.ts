/** The pages for people, in a real browser, on a real store with names that are not well-meant. */
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect } from '@jest/globals'

import { generateSecretKey, hashPartOf } from '../../src/index.ts'
import { inBrowser, openBrowser, type TestBrowser } from '../fixtures/browser.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { openPushCache, type PushCache } from '../fixtures/push-cache.ts'

const key = generateSecretKey('cache.example-1')
const login = 'ci:secret'
const maxWeight = 50 * 1024

let nix: NixFixture
let store: ScratchStore
let cache: PushCache
let browser: TestBrowser
let app: string
let tree: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  app = (await store.buildClosure()).app
  const dir = join(await nix.makeDir('tree'), 'tree-1.0')
  await mkdir(join(dir, 'bin'), { recursive: true })
  await mkdir(join(dir, 'share'))
  await writeFile(join(dir, 'bin/run'), '#!/bin/sh', { mode: 0o755 })
  await symlink('../share', join(dir, 'bin/"><img src=x onerror=alert(1)>'))
  await writeFile(join(dir, '<script>alert(1)<\\script>'), 'x')
  await writeFile(join(dir, 'pay\u202efdp.exe'), 'x')
  for (let at = 0; at < 100; at++) await writeFile(join(dir, `share/file-${at}`), 'x')
  tree = await store.addTree(dir)
  cache = await openPushCache(nix, { local: store, signing: [key] })
  browser = openBrowser()
}, 120_000)

afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  await cache[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

const pathPage = (storePath: string) => `${cache.url}/path/${hashPartOf(storePath)}`

describe('each page', () => {
  inBrowser.each([
    ['overview', () => `${cache.url}/`],
    ['search', () => `${cache.url}/search?q=1.0`],
    ['search without a result', () => `${cache.url}/search?q=${encodeURIComponent('"><script>alert(1)</script>')}`],
    ['path', () => pathPage(app)],
    ['path with hostile files', () => pathPage(tree)],
    ['files', () => `${pathPage(tree)}/files?in=share`],
    ['status', () => `${cache.url}/status`],
  ])('can be read by everybody and is light: %s', async (_what, url) => {
    await using visit = await browser.open(url(), { login })
    expect(visit.response.status()).toBe(200)
    expect(await visit.findFaults()).toEqual([])
    expect(await visit.weight()).toBeLessThan(maxWeight)
  })
})

describe('the search', () => {
  inBrowser('shows results while one types, and keeps them in the address', async () => {
    await using visit = await browser.open(`${cache.url}/search`, { login })
    const { page } = visit
    await page.getByRole('searchbox').pressSequentially('app')
    await page.getByRole('heading', { name: 'Search' }).waitFor()
    await page.getByRole('table', { name: 'Paths with “app”, the newest first' }).waitFor()
    expect(new URL(page.url()).search).toBe('?q=app')
    await page.getByRole('searchbox').fill('no such name')
    await page.getByText('Nothing has this name').waitFor()
    expect(visit.complaints).toEqual([])
  })

  inBrowser('works without the script', async () => {
    await using visit = await browser.open(`${cache.url}/`, { login, hasScript: false })
    const { page } = visit
    await page.getByRole('searchbox').fill('app-1.0')
    await page.keyboard.press('Enter')
    await page.getByRole('table').getByRole('link', { name: 'app-1.0', exact: true }).click()
    await page.getByRole('heading', { name: 'app-1.0', level: 1 }).waitFor()
  })
})

describe('the overview', () => {
  inBrowser('has the name of its reader in commands, behind tabs that keys can reach', async () => {
    await using visit = await browser.open(`${cache.url}/`, { login, hasScript: false })
    const { page } = visit
    await page.getByText(`sudo npx nix-burrow use ${cache.url} --user ci --relay`).waitFor()
    await page.getByRole('radio', { name: 'One command' }).focus()
    await page.keyboard.press('ArrowRight')
    await page.getByText('machine 127.0.0.1 login ci password PASSWORD').first().waitFor()
    expect(await page.getByText('--relay').isVisible()).toBe(false)
  })

  inBrowser('says that everything works, and what is new', async () => {
    await using visit = await browser.open(`${cache.url}/`, { login })
    await visit.page.getByText('Everything works').waitFor()
    expect(await visit.page.getByRole('link', { name: 'tree-1.0' }).count()).toBe(1)
  })
})

describe('the page of a path', () => {
  inBrowser('shows size, closure, who vouches, references and referrers', async () => {
    await using visit = await browser.open(pathPage(app), { login })
    const text = await visit.page.textContent('main')
    expect(text).toContain('cache.example-1 this cache')
    expect(text).toMatch(/in 4 paths/)
    expect(await visit.page.getByRole('img', { name: /^Sizes in the closure/ }).count()).toBe(1)
    await visit.page.getByRole('region', { name: 'Referred to by' }).getByRole('link', { name: 'app-1.0-dev' }).click()
    await visit.page.getByRole('heading', { name: 'app-1.0-dev', level: 1 }).waitFor()
  })

  inBrowser('shows hostile names of files as text, and opens directories', async () => {
    await using visit = await browser.open(pathPage(tree), { login, hasScript: false })
    const { page } = visit
    await page.getByText('<script>alert(1)<\\script>').waitFor()
    await page.getByText('pay\ufffdfdp.exe').waitFor()
    await page.getByText('bin/').click()
    await page.getByText('executable').waitFor()
    await page.getByText('share/', { exact: true }).click()
    await page.getByRole('link', { name: '100 entries' }).click()
    await page.getByText('file-0', { exact: true }).waitFor()
    await page.getByText('and 40 more').waitFor()
  })
})

describe('the status', () => {
  inBrowser('changes while the page is open', async () => {
    await using visit = await browser.open(`${cache.url}/status`, { login })
    await visit.page.getByText('nothing was pushed yet', { exact: false }).first().waitFor()
    const other = await nix.openStore()
    const pushed = await other.addFile('pushed', 'x')
    await nix.run('nix', ['copy', '--from', other.root, '--to', `http://ci:secret@${cache.url.slice(7)}`, pushed])
    await visit.page.getByText('1 pushed path').first().waitFor()
    expect(visit.complaints).toEqual([])
  })
})
