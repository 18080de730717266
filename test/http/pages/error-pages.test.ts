/** Errors: pages for people, the same line as always for Nix. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { parseContact } from '../../../src/index.ts'
import { ben, openTestCache, type TestCache } from '../../fixtures/cache.ts'
import { type NixFixture, openNixFixture } from '../../fixtures/nix.ts'

const absent = 'a'.repeat(32)
const asBrowser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
const stranger = { authorization: undefined }

let nix: NixFixture
let cache: TestCache
let present: string

beforeAll(async () => {
  nix = await openNixFixture()
  const store = await nix.openStore()
  present = (await store.addFile('hello', 'hello')).slice('/nix/store/'.length, '/nix/store/'.length + 32)
  const bot = { ...ben, name: 'bot', access: new Set(['push'] as const) }
  cache = await openTestCache(store, { users: [ben, bot], contact: parseContact('ana@example.org') })
})

afterAll(async () => {
  await cache[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

describe('an error in a browser', () => {
  test.each([
    ['no login', '/', stranger, 401, 'Log in to use this cache'],
    ['an absent path', `/${absent}.narinfo`, {}, 404, 'There is nothing here'],
    ['an unknown page', '/no/such/page', {}, 404, 'There is nothing here'],
    ['a name that cannot be decoded', '/log/%ff', {}, 404, 'There is nothing here'],
  ])('is a page that says whom to ask: %s', async (_what, path, headers, status, title) => {
    const reply = await cache.get(path, { headers: { ...asBrowser, ...headers } })
    expect(reply.status).toBe(status)
    expect(reply.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(reply.headers['content-security-policy']).toContain("default-src 'none'")
    expect(reply.headers['cache-control']).toBe('no-store')
    const text = reply.body.toString()
    expect(text).toContain(`<h1>${title}</h1>`)
    expect(text).toContain('<a href="mailto:ana@example.org">ana@example.org</a>')
  })

  test('still asks for a login with 401', async () => {
    const { status, headers } = await cache.get('/', { headers: { ...asBrowser, ...stranger } })
    expect([status, headers['www-authenticate']]).toEqual([401, 'Basic realm="burrow", charset="UTF-8"'])
  })

  test('says to a user without access what they may do', async () => {
    const authorization = `Basic ${Buffer.from('bot:secret').toString('base64')}`
    const { status, body } = await cache.get('/', { headers: { ...asBrowser, authorization } })
    expect(status).toBe(403)
    expect(body.toString()).toContain('User bot may push, not pull.')
  })

  test('shows neither navigation nor version to a stranger', async () => {
    const text = (await cache.get('/', { headers: { ...asBrowser, ...stranger } })).body.toString()
    expect(text).not.toMatch(/<nav|0\.0\.0-test/)
  })

  test('is the same for an absent and a present path without a login', async () => {
    const ask = async (hashPart: string) => {
      const reply = await cache.get(`/${hashPart}.narinfo`, { headers: { ...asBrowser, ...stranger } })
      return { ...reply, headers: { ...reply.headers, date: '' }, rawHeaders: [] }
    }
    const first = await ask(present)
    expect(first.status).toBe(401)
    expect(await ask(absent)).toEqual(first)
  })

  test('has no body for HEAD', async () => {
    const reply = await cache.get('/no/such/page', { method: 'HEAD', headers: asBrowser })
    expect(reply.status).toBe(404)
    expect(Number(reply.headers['content-length'])).toBeGreaterThan(500)
    expect(reply.body).toHaveLength(0)
  })
})

describe('an error for a program', () => {
  test.each([
    ['Nix, which accepts everything', { accept: '*/*' }],
    ['a client that names nothing', {}],
    ['a script of a page', { ...asBrowser, 'sec-fetch-dest': 'empty' }],
    ['an image', { ...asBrowser, 'sec-fetch-dest': 'image' }],
  ])('is a line of plain text: %s', async (_what, headers) => {
    const missed = await cache.get(`/${absent}.narinfo`, { headers })
    expect([missed.status, missed.headers['content-type'], missed.body.toString()]).toEqual([
      404,
      'text/plain; charset=utf-8',
      'Not Found\n',
    ])
    const refused = await cache.get('/', { headers: { ...headers, ...stranger } })
    expect([refused.status, refused.body.toString()]).toEqual([401, 'Unauthorized\n'])
  })
})

describe('the stylesheet and the script', () => {
  test('need no login and are kept by the browser alone, under a name that says what they contain', async () => {
    const page = (await cache.get('/')).body.toString()
    const paths = [...page.matchAll(/"(\/assets\/[^"]+)"/g)].map(([, path]) => path!)
    expect(paths).toHaveLength(2)
    for (const path of paths) {
      const { status, headers, body } = await cache.get(path, { headers: stranger })
      expect(path).toMatch(/^\/assets\/page-[0-9a-f]{16}\.(css|js)$/)
      expect([status, headers['content-type'], headers['x-content-type-options']]).toEqual([
        200,
        path.endsWith('.css') ? 'text/css; charset=utf-8' : 'text/javascript; charset=utf-8',
        'nosniff',
      ])
      expect(headers['cache-control']).toBe('private, max-age=31536000, immutable, no-transform')
      expect(headers['cdn-cache-control']).toBe('no-store')
      expect(body.length).toBeLessThan(24 * 1024)
    }
  })

  test.each(['/assets/page-0000000000000000.css', '/assets/', '/assets/../nix-cache-info', '/assets'])(
    'are all that %s gives away without a login: nothing',
    async (path) => {
      expect((await cache.get(path, { headers: stranger })).status).toBe(401)
    },
  )
})
