/** `/join/<token>`: what strangers, browsers and programs get, and what is left behind. */
import { mkdir, mkdtemp, rename, rmdir } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { generateSecretKey, type User } from '../../src/index.ts'
import { inBrowser, openBrowser, type TestBrowser } from '../fixtures/browser.ts'
import { basic, ben, openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type BuiltClosure, type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { openTestTeam, type TestTeam } from '../fixtures/team.ts'

let nix: NixFixture
let store: ScratchStore
let closure: BuiltClosure
let browser: TestBrowser
const key = generateSecretKey('cache.example-1')

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  closure = await store.buildClosure()
  browser = openBrowser()
})

afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

interface Site extends AsyncDisposable {
  readonly cache: TestCache
  readonly team: TestTeam
}

async function openSite(users: readonly User[] | undefined = [ben]): Promise<Site> {
  const team = await openTestTeam(await mkdtemp(joinPath(nix.dir, 'team-')), users)
  const readClientProgram = async () => Buffer.from('// the client\n')
  const cache = await openTestCache(store, { users, signing: [key], team, readClientProgram })
  team.connect(cache.cache, [key])
  return { cache, team, [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose]() }
}

const person = { authorization: undefined, accept: 'text/html' }
const program = { authorization: undefined, accept: 'application/json' }
const post = (headers: Record<string, string | undefined> = program) => ({ method: 'POST', headers })

describe('the link of an invitation', () => {
  test('a GET, a HEAD and a preview use nothing up; a POST makes the user, once', async () => {
    await using site = await openSite()
    const { cache, team } = site
    const path = `/join/${await team.inviteUser('cleo', ['pull', 'push'])}`
    for (const options of [{ headers: person }, { headers: program }, { method: 'HEAD', headers: person }])
      expect(await cache.get(path, options)).toMatchObject({ status: 200 })
    expect(await cache.get(`${path}?fbclid=x`, { headers: person })).toMatchObject({ status: 200 })
    expect(team.added).toEqual([])

    const reply = await cache.get(path, post())
    expect(reply.status).toBe(200)
    const account = JSON.parse(reply.body.toString())
    expect(account).toEqual({
      name: 'cleo',
      password: expect.stringMatching(/^\w{32}$/),
      access: ['pull', 'push'],
      storeDir: store.storeDir,
      publicKeys: [key.publicKey],
    })
    const authorization = basic('cleo', account.password)
    expect(await cache.get('/nix-cache-info', { headers: { authorization } })).toMatchObject({ status: 200 })
    for (const again of [post(), { headers: person }, { headers: program }])
      expect(await cache.get(path, again)).toMatchObject({ status: 404 })
  })

  test('stays open when the account cannot be stored', async () => {
    await using site = await openSite()
    const { cache, team } = site
    const path = `/join/${await team.inviteUser('cleo')}`
    const file = joinPath(team.dir, 'users.json')
    await rename(file, `${file}.away`)
    await mkdir(file)
    expect(await cache.get(path, post())).toMatchObject({ status: 503 })
    const errors = cache.log.filter(({ level }) => level === 'error')
    expect(errors).toMatchObject([{ message: 'Could not answer a request', fields: { code: 'users-unwritable' } }])
    expect(team.added).toEqual([])
    await rmdir(file)
    await rename(`${file}.away`, file)
    expect(await cache.get(path, post())).toMatchObject({ status: 200 })
  })

  test('of two browsers that press the button at once, exactly one gets the account', async () => {
    await using site = await openSite()
    const { cache, team } = site
    const path = `/join/${await team.inviteUser('cleo')}`
    const replies = await Promise.all(Array.from({ length: 6 }, () => cache.get(path, post(person))))
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 404, 404, 404, 404, 404])
    const [winner] = replies.filter(({ status }) => status === 200)
    const password = /<pre id="password">(\w{32})<\/pre>/.exec(winner!.body.toString())![1]!
    const headers = { authorization: basic('cleo', password) }
    expect(await cache.get('/nix-cache-info', { headers })).toMatchObject({ status: 200 })
    expect(team.added).toHaveLength(1)
  })

  test('absent, malformed, used, revoked and expired ones look alike, and like nothing on a public cache', async () => {
    await using site = await openSite()
    const { cache, team } = site
    const used = await team.inviteUser('used')
    await team.accept(used)
    const revoked = await team.inviteUser('revoked')
    await team.revoke(team.invitations().find(({ name }) => name === 'revoked')!.id, 'ana')
    const tokens = [used, revoked, 'A'.repeat(43), 'x', '%3Cscript%3E', `${used}x`]
    for (const headers of [person, program]) {
      const replies = []
      // Each from a network of its own, so that one does not delay the next.
      for (const [index, token] of tokens.entries()) {
        const from = { 'cf-connecting-ip': `203.0.113.${index + (headers === person ? 100 : 0)}` }
        replies.push(await cache.get(`/join/${token}`, { headers: { ...headers, ...from } }))
      }
      expect(new Set(replies.map(({ status, body }) => `${status} ${body}`)).size).toBe(1)
      expect(replies[0]).toMatchObject({ status: 404 })
    }
    // Malformed beyond decoding: no page, no login either.
    expect((await cache.get('/join/%ff', { headers: person })).status).toBe(404)
    await using open = await openSite(undefined)
    expect(await open.cache.get('/join/x', { headers: program })).toMatchObject({ status: 404 })
  }, 120_000)

  test('guesses are slowed as wrong passwords are: at most eight at a time, and each counts as a failure', async () => {
    await using site = await openSite()
    const { cache } = site
    const replies = await Promise.all(
      Array.from({ length: 24 }, (_, index) => cache.get(`/join/${index}${'A'.repeat(41)}`, { headers: program })),
    )
    const statuses = replies.map(({ status }) => status)
    // A slot may be free again before the last guess arrives, on a busy machine.
    const looked = statuses.filter((status) => status === 404).length
    expect(looked).toBeLessThanOrEqual(16)
    expect(statuses.filter((status) => status === 429)).toHaveLength(24 - looked)
    expect(cache.cache.stats.failedLogins).toBe(looked)
  }, 60_000)

  test('nothing may keep the replies or learn the link', async () => {
    await using site = await openSite()
    const { cache, team } = site
    const token = await team.inviteUser('cleo')
    const paths = [`/join/${token}`, `/join/${token}/client.mjs`, '/join/absent']
    const replies = []
    for (const headers of [person, program]) for (const path of paths) replies.push(await cache.get(path, { headers }))
    replies.push(await cache.get(`/join/${token}`, post({ ...program, 'sec-fetch-site': 'cross-site' })))
    replies.push(await cache.get(`/join/${token}`, post(person)))
    for (const { headers } of replies)
      expect(headers).toMatchObject({
        'cache-control': 'no-store',
        'cloudflare-cdn-cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
      })
    // Requests that are refused for their form carry it too.
    for (const path of [`//join/${token}`, `/%6Aoin/${token}`, `/join%2f${token}`, `/JOIN/${token}`])
      expect(await cache.get(path, { headers: program })).toMatchObject({ status: 401 })
    const told = JSON.stringify([cache.exchanges.map(({ target, route }) => ({ target, route })), cache.log])
    expect(told).toContain('"/join/…"')
    expect(told).not.toContain(token)
  }, 60_000)

  test.each([
    [{ 'sec-fetch-site': 'cross-site' }, 403],
    [{ 'sec-fetch-site': 'same-site', origin: 'https://evil.example.org' }, 403],
    [{ 'sec-fetch-site': 'none' }, 403],
    [{ origin: 'https://evil.example.org' }, 403],
    [{ 'sec-fetch-site': 'same-origin', origin: 'null' }, 200],
    // A browser without Sec-Fetch-Site, on a page with Referrer-Policy: no-referrer.
    [{ origin: 'null' }, 200],
    [{}, 200],
  ])('a POST with %j gets %d', async (headers, status) => {
    await using site = await openSite()
    const { cache, team } = site
    const path = `/join/${await team.inviteUser('cleo')}`
    expect(await cache.get(path, post({ ...program, ...headers }))).toMatchObject({ status })
    expect(team.added).toHaveLength(status === 200 ? 1 : 0)
  })

  test.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS'])('%s needs a login as everywhere', async (method) => {
    await using site = await openSite()
    const path = `/join/${await site.team.inviteUser('cleo')}`
    expect(await site.cache.get(path, { method, headers: program })).toMatchObject({ status: 401 })
  })

  test('the client in one file needs no other login', async () => {
    await using site = await openSite()
    const { cache, team } = site
    const token = await team.inviteUser('cleo')
    const reply = await cache.get(`/join/${token}/client.mjs`, { headers: program })
    expect({ status: reply.status, body: reply.body.toString() }).toEqual({ status: 200, body: '// the client\n' })
    expect((await cache.get('/v1/client.mjs', { headers: program })).status).toBe(401)
    expect((await cache.get(`/join/${token}/other`, { headers: program })).status).toBe(401)
    expect(team.findInvitation(token)).toBeDefined()
  })

  test('a host that a client made up stays text', async () => {
    await using site = await openSite()
    const path = `/join/${await site.team.inviteUser('cleo')}`
    const reply = await site.cache.get(path, { headers: { ...person, host: '"><script>alert(1)</script>' } })
    expect(reply.body.toString()).not.toContain('<script>alert')
    expect(reply.body.toString()).toContain('https://this.address/join/')
  })

  test('real Nix logs in with the netrc line of the page', async () => {
    await using site = await openSite()
    const { cache, team } = site
    const reply = await cache.get(`/join/${await team.inviteUser('cleo')}`, post(person))
    const line = /machine 127\.0\.0\.1 login cleo password (\w+)/.exec(reply.body.toString())
    const netrc = await nix.writeNetrc([{ login: 'cleo', password: line![1]! }])
    const to = await nix.openStore()
    await nix.copy({ from: cache.url, to, paths: [closure.app], netrc, trustedPublicKeys: [key.publicKey] })
    expect(await to.closureOf(closure.app)).toEqual(closure.appClosure)
  }, 120_000)
})

describe('the page of an invitation in a browser', () => {
  const shots = process.env.BURROW_TEST_SCREENSHOTS

  async function shoot(page: Awaited<ReturnType<TestBrowser['open']>>['page'], name: string): Promise<void> {
    if (shots === undefined) return
    for (const width of [390, 1200]) {
      await page.setViewportSize({ width, height: 900 })
      await page.screenshot({ path: joinPath(shots, `${name}-${width}.png`), fullPage: true })
    }
  }

  inBrowser(
    'shows what will happen, makes the account, and shows the set-up by system, once',
    async () => {
      await using site = await openSite()
      const { cache, team } = site
      const token = await team.inviteUser('cleo', ['pull', 'push'])
      await using visit = await browser.open(`${cache.url}/join/${token}`)
      const { page } = visit
      expect(await page.textContent('main')).toMatch(/User name\s*cleo\s*You may\s*download and upload/)
      expect(await visit.findFaults()).toEqual([])
      await shoot(page, 'join')
      await page.getByRole('button', { name: 'Make my account' }).click()
      await page.getByRole('heading', { name: 'Your account is ready' }).waitFor()
      expect(await visit.findFaults()).toEqual([])
      const password = await page.textContent('#password')
      const headers = { authorization: basic('cleo', password!) }
      expect(await cache.get('/nix-cache-info', { headers })).toMatchObject({ status: 200 })
      expect(await visit.weight()).toBeLessThan(50 * 1024)
      expect(await page.locator('#linux-conf').isVisible()).toBe(true)
      await shoot(page, 'joined-linux')
      for (const [label, block] of [
        ['NixOS', '#nixos-module'],
        ['nix-darwin', '#darwin-module'],
        ['CI', '#ci-steps'],
      ] as const) {
        await page.getByText(label, { exact: true }).first().click()
        expect(await page.locator(block).isVisible()).toBe(true)
        expect(await page.locator('#linux-conf').isVisible()).toBe(false)
        expect(await visit.findFaults()).toEqual([])
        await shoot(page, `joined-${label}`)
      }
      await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
      await page.getByRole('button', { name: 'Copy Password of cleo' }).click()
      await page.getByRole('button', { name: 'Copied' }).waitFor()
      expect(await page.evaluate('navigator.clipboard.readText()')).toBe(password)
      await page.goto(`${cache.url}/join/${token}`)
      expect(await page.textContent('h1')).toBe('This invitation cannot be used')
      await shoot(page, 'useless')
    },
    120_000,
  )

  inBrowser(
    'works without the script and from the keyboard',
    async () => {
      await using site = await openSite()
      const { cache, team } = site
      const url = `${cache.url}/join/${await team.inviteUser('cleo')}`
      await using visit = await browser.open(url, { hasScript: false })
      const { page } = visit
      await page.getByRole('button', { name: 'Make my account' }).press('Enter')
      await page.getByRole('radio', { name: 'Linux' }).press('ArrowRight')
      expect(await page.locator('#nixos-module').isVisible()).toBe(true)
      expect(await page.getByRole('button').count()).toBe(0)
    },
    60_000,
  )
})
