/** `/users`: who may change users, by which requests, and what a change does. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

import type { User } from '../../src/index.ts'
import { inBrowser, openBrowser } from '../fixtures/browser.ts'
import { basic, get, openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture } from '../fixtures/nix.ts'
import { sendRaw, statusesOf } from '../fixtures/raw-http.ts'
import { openTestTeam, type TestTeam } from '../fixtures/team.ts'

const userOf = (name: string, access: readonly ('pull' | 'push' | 'admin')[]): User => ({
  name,
  secret: { kind: 'plain', password: 'secret' },
  access: new Set(access),
})
const users = [
  userOf('ana', ['admin', 'pull']),
  userOf('eve', ['admin']),
  userOf('ben', ['pull', 'push']),
  userOf('<img src=x onerror=alert(1)>', ['pull']),
]
const ana = basic('ana', 'secret')
const sameOrigin = { 'sec-fetch-site': 'same-origin' }

let nix: NixFixture
let cache: TestCache
let team: TestTeam

beforeEach(async () => {
  nix = await openNixFixture()
  team = await openTestTeam(await nix.makeDir('team'), users)
  cache = await openTestCache(await nix.openStore(), { users, team })
  team.connect(cache.cache, [])
})

afterEach(async () => {
  await cache[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

async function tokenOf(authorization: string): Promise<string> {
  const page = (await cache.get('/users', { headers: { authorization } })).body.toString()
  return /name="token" value="([^"]+)"/.exec(page)![1]!
}

async function post(fields: Record<string, string>, headers: Record<string, string | undefined> = {}) {
  const response = await fetch(`${cache.url}/users`, {
    method: 'POST',
    redirect: 'manual',
    headers: Object.fromEntries(
      Object.entries({ authorization: ana, ...sameOrigin, ...headers }).filter(([, value]) => value !== undefined),
    ) as Record<string, string>,
    body: new URLSearchParams(fields),
  })
  return { status: response.status, location: response.headers.get('location'), text: await response.text() }
}

const follow = async (location: string | null, authorization = ana) =>
  (await get(cache.port, location!, { headers: { authorization } })).body.toString()

describe('the page of users', () => {
  test.each([
    ['no login', undefined, 401],
    ['a user without admin access', basic('ben', 'secret'), 403],
    ['an administrator', ana, 200],
  ])('%s: %s', async (_who, authorization, status) => {
    for (const path of ['/users', '/users?done=x', '/users/change?name=ben'])
      expect((await cache.get(path, { headers: { authorization } })).status).toBe(
        path.includes('change') && status === 200 ? 404 : status,
      )
    const response = await fetch(`${cache.url}/users`, {
      method: 'POST',
      headers: { ...sameOrigin, ...(authorization && { authorization }) },
      body: new URLSearchParams({ action: 'invite', name: 'dora', access: 'pull' }),
    })
    expect(response.status).toBe(status === 200 ? 403 : status)
    expect(team.invitations()).toEqual([])
  })
})

describe('an address written in another way', () => {
  const targets = [
    '/users#',
    '/users#/x',
    'http://x/users',
    'HTTP://x/users',
    'http://x/users/change?name=zoe',
    '/users?#',
  ]
  beforeEach(() => team.add({ name: 'zoe', access: ['pull'], expires: undefined, password: undefined, by: 'ana' }))

  test.each(targets)('%s is for administrators alone', async (target) => {
    const send = (authorization: string, method: string) =>
      sendRaw(
        cache.port,
        `${method} ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nConnection: close\r\n\r\n`,
        { end: false },
      )
    for (const method of ['GET', 'HEAD', 'POST'])
      expect(statusesOf(await send(basic('ben', 'secret'), method))).toEqual([403])
    expect(statusesOf(await send(ana, 'GET'))).toEqual([200])
  })
})

describe('a change', () => {
  test.each([
    ['from another site', { 'sec-fetch-site': 'cross-site' }],
    ['from a sibling of this site', { 'sec-fetch-site': 'same-site' }],
    ['typed by the user or from a bookmark', { 'sec-fetch-site': 'none' }],
    ['from another origin of an old browser', { 'sec-fetch-site': undefined, origin: 'https://evil.example' }],
    ['from a page that hides its origin', { 'sec-fetch-site': undefined, origin: 'null' }],
    ['as text, which needs no preflight', { 'content-type': 'text/plain' }],
  ])('is refused %s, even with the right token', async (_what, headers) => {
    const token = await tokenOf(ana)
    expect((await post({ token, action: 'invite', name: 'dora', access: 'pull' }, headers)).status).toBe(403)
    expect(team.invitations()).toEqual([])
  })

  test.each([
    ['no token', async () => ''],
    ['a wrong token', async () => 'x'.repeat(43)],
    ['the token of another administrator', () => tokenOf(basic('eve', 'secret'))],
  ])('is refused with %s', async (_what, find) => {
    const token = await find()
    expect((await post({ token, action: 'invite', name: 'dora', access: 'pull' })).status).toBe(403)
    expect(team.invitations()).toEqual([])
  })

  test('is refused when its form is too large', async () => {
    expect((await post({ token: 'x'.repeat(9000) })).status).toBe(413)
  })

  test('answers with 303, and shows a link once, to the user who asked for it', async () => {
    const { status, location } = await post({
      token: await tokenOf(ana),
      action: 'invite',
      name: 'dora',
      access: 'pull',
    })
    expect([status, location]).toEqual([303, expect.stringMatching(/^\/users\?done=[\w-]{22}$/)])
    expect(await follow(location, basic('eve', 'secret'))).not.toContain('/join/')
    const page = await follow(location)
    const [, token] = /\/join\/([\w-]+)/.exec(page)!
    expect(team.findInvitation(token!)).toMatchObject({ name: 'dora', access: ['pull'], createdBy: 'ana' })
    expect(await follow(location)).not.toContain('/join/')
  })

  test('is refused with its reason, and changes nothing', async () => {
    const { location } = await post({ token: await tokenOf(ana), action: 'invite', name: 'ben', access: 'pull' })
    expect(await follow(location)).toMatch(/Nothing was changed\. /)
    const unknown = await post({ token: await tokenOf(ana), action: 'explode' })
    expect(await follow(unknown.location)).toMatch(/Nothing was changed\. /)
    const noDate = await post({
      token: await tokenOf(ana),
      action: 'invite',
      name: 'x',
      access: 'pull',
      expires: '31.12.',
    })
    expect(await follow(noDate.location)).toMatch(/Nothing was changed\. /)
    expect(team.invitations()).toEqual([])
  })

  test('acts on access, expiry, password and removal of a user', async () => {
    await team.add({ name: 'dora', access: ['pull'], expires: undefined, password: 'long-enough-password', by: 'ana' })
    const dora = () => team.users().find(({ name }) => name === 'dora')
    const token = await tokenOf(ana)
    await post({ token, action: 'expiry', name: 'dora', expires: '2040-02-03' })
    expect(dora()!.expires!.toISOString()).toBe('2040-02-03T23:59:59.000Z')
    const changed = await post({ token, action: 'password', name: 'dora' })
    const [, password] = /<pre id="secret">([^<]+)</.exec(await follow(changed.location))!
    expect((await cache.get('/nix-cache-info', { headers: { authorization: basic('dora', password!) } })).status).toBe(
      200,
    )
    await post({ token, action: 'remove', name: 'dora' })
    expect(dora()).toBeDefined()
    await post({ token, action: 'remove', name: 'dora', sure: 'yes' })
    expect(dora()).toBeUndefined()
    expect((await cache.get('/nix-cache-info', { headers: { authorization: basic('dora', password!) } })).status).toBe(
      401,
    )
  })

  test('ends an open stream of the status: a user who was removed, or may not pull any more, sees nothing more', async () => {
    const open = async (name: string) => {
      await team.add({ name, access: ['pull'], expires: undefined, password: 'long-enough-password', by: 'ana' })
      const response = await fetch(`${cache.url}/status/events`, {
        headers: { authorization: basic(name, 'long-enough-password') },
      })
      expect(response.status).toBe(200)
      return response.body!.pipeThrough(new TextDecoderStream()).getReader()
    }
    const [dora, finn, gus] = [await open('dora'), await open('finn'), await open('gus')]
    for (const stream of [dora, finn, gus]) expect((await stream.read()).value).toMatch(/^data: /)

    await team.remove('dora', 'ana')
    await team.changeAccess('finn', ['push'], 'ana')
    const startedMs = Date.now()
    for (const stream of [dora, finn]) while (!(await stream.read()).done);
    // Far from the ten minutes after which each stream ends.
    expect(Date.now() - startedMs).toBeLessThan(120_000)

    const rest = gus.read()
    expect(
      await Promise.race([rest.then(({ done }) => done), new Promise((resolve) => setTimeout(resolve, 50))]),
    ).not.toBe(true)
    await gus.cancel()
  })

  test('cannot lock out the administrator who makes it', async () => {
    const admin = await team.add({
      name: 'zoe',
      access: ['admin'],
      expires: undefined,
      password: 'long-enough-password',
      by: 'ana',
    })
    expect(admin).toMatchObject({ name: 'zoe' })
    const authorization = basic('zoe', 'long-enough-password')
    const token = await tokenOf(authorization)
    for (const fields of [
      { action: 'access', access: 'pull' },
      { action: 'expiry', expires: '2001-01-01' },
      { action: 'remove', sure: 'yes' },
    ] as Record<string, string>[])
      await post({ token, name: 'zoe', ...fields }, { authorization })
    expect(team.users().find(({ name }) => name === 'zoe')).toMatchObject({ access: ['admin'], expires: undefined })
  })
})

describe('in a browser', () => {
  inBrowser('an administrator invites, changes and revokes, and everybody can read the pages', async () => {
    await team.add({
      name: 'dieter',
      access: ['pull'],
      expires: undefined,
      password: 'long-enough-password',
      by: 'ana',
    })
    await using browser = openBrowser()
    await using visit = await browser.open(`${cache.url}/users`, { login: 'ana:secret' })
    const { page } = visit
    expect(await visit.findFaults()).toEqual([])
    await page.getByLabel('Name').fill('dora')
    await page.getByLabel('upload').check()
    await page.getByRole('button', { name: 'Make the link' }).click()
    await page.getByText(`${cache.url}/join/`).waitFor()
    expect(await visit.findFaults()).toEqual([])
    await page.getByRole('button', { name: 'Revoke the invitation of dora' }).click()
    await page.getByText('The invitation of dora is gone.').waitFor()
    await page
      .getByRole('link', { name: /^Change/ })
      .first()
      .click()
    await page.getByRole('heading', { level: 1 }).waitFor()
    expect(await visit.findFaults()).toEqual([])
    expect(await visit.weight()).toBeLessThan(3 * 50 * 1024)
  })
})
