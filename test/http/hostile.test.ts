/**
 * What no decent client sends: every such request is answered or cut, tells nothing, and leaves the cache as it was.
 */
import { once } from 'node:events'
import { connect } from 'node:net'

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { defaultLimits } from '../../src/index.ts'
import { benAuthorization, openTestCache, type TestCache } from '../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../fixtures/nix.ts'
import { sendRaw, statusesOf } from '../fixtures/raw-http.ts'

let nix: NixFixture
let store: ScratchStore
let cache: TestCache
let path: string
const auth = `Authorization: ${benAuthorization}\r\n`

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  path = await store.addFile('file', 'hello\n')
  cache = await openTestCache(store, { limits: { ...defaultLimits, headersSeconds: 1 } })
})

afterAll(async () => {
  // Whatever was sent, the cache still answers, and never met a bug of its own.
  expect((await cache.get('/nix-cache-info')).status).toBe(200)
  expect(cache.log.filter(({ level }) => level === 'error')).toEqual([])
  await cache[Symbol.asyncDispose]()
  await nix[Symbol.asyncDispose]()
})

const hash = '6f90lrmaxn2bybp9ffarwvdipidnqf78'

describe('malformed paths are absent', () => {
  test.each([
    '/..%2f..%2fetc%2fpasswd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/../../etc/passwd',
    '/nar/..%2f..%2f..%2fetc%2fpasswd.nar',
    '/nar/%2e%2e%2f%2e%2e%2fetc%2fpasswd',
    '/log/..%2f..%2f..%2fetc%2fpasswd',
    '/log/%2e%2e',
    `/log/${hash}-..%2f..%2fx.drv`,
    `/log/${hash}-x%00.drv`,
    '/log/x.drv',
    `/realisations/sha256:${'a'.repeat(64)}!..%2f..%2fx.doi`,
    `/realisations/sha256:${'A'.repeat(64)}!out.doi`,
    '/realisations/x.doi',
    `/${hash.toUpperCase()}.narinfo`,
    `/${hash.replace('6', 'e')}.narinfo`,
    `/${hash}0.narinfo`,
    `/${hash.slice(1)}.narinfo`,
    `/${hash}%00.narinfo`,
    `/${hash}%0a.narinfo`,
    `/${hash}.narinfo%00`,
    `/${hash}.narinfo/`,
    `//${hash}.narinfo`,
    `/${hash}.ls%00`,
    '/%',
    '/%zz',
    '/%c0%ae%c0%ae/',
    '/%ff%fe',
    `/${'a'.repeat(8000)}`,
    '/__proto__',
    '/constructor',
    '/nar/__proto__.nar',
    '/*',
  ])('%s', async (target) => {
    const { status, body, headers } = await cache.get(target)
    expect(status).toBe(404)
    expect(body.toString()).toBe('Not Found\n')
    expect(headers['cache-control']).toBe('no-store')
  })

  test('whatever the path is, the answer is one of the few, and says nothing of this machine', async () => {
    const segment = fc.oneof(
      fc.webSegment(),
      fc.string(),
      fc.constantFrom('..', '.', 'nar', 'log', '%2e%2e', `${hash}.narinfo`, `${hash}.nar`, `${hash}.nar.xz`, '%00'),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(segment, { maxLength: 5 }), async (segments) => {
        const target = `/${segments.join('/')}`.replace(/[^\x21-\x7e]/g, (character) =>
          encodeURIComponent(character.toWellFormed()),
        )
        const { status, body } = await cache.get(target)
        expect([200, 404]).toContain(status)
        expect(body.toString()).not.toContain(cache.dir)
        expect(body.toString()).not.toContain(store.root)
      }),
      { numRuns: 150 },
    )
  })

  test('an absolute target, which is our own path whatever host it names, an asterisk and CONNECT lead nowhere', async () => {
    const answers = await Promise.all(
      ['GET http://127.0.0.1:1/absent', 'OPTIONS *', 'CONNECT 127.0.0.1:22'].map((line) =>
        sendRaw(cache.port, `${line} HTTP/1.1\r\nHost: x\r\n${auth}Connection: close\r\n\r\n`),
      ),
    )
    for (const answer of answers) expect(statusesOf(answer).every((status) => status >= 400)).toBe(true)
  })
})

test('a request without a body to a route that reads one is answered, and its connection is kept', async () => {
  const bare = `POST /v1/closure HTTP/1.1\r\nHost: x\r\n${auth}\r\n`
  const next = `GET /v1/version HTTP/1.1\r\nHost: x\r\n${auth}Connection: close\r\n\r\n`
  const answer = await sendRaw(cache.port, `${bare}${next}`, { end: false })
  expect(statusesOf(answer)).toEqual([400, 200])
  expect(statusesOf(await sendRaw(cache.port, bare.replace('POST', 'PUT'), { end: true }))).toEqual([405])
})

test('a body that is cut off is not taken for a bug', async () => {
  // The login is remembered, so that the route has the request before the connection ends.
  await cache.get('/nix-cache-info')
  const socket = connect(cache.port, '127.0.0.1')
  // The continuation says that the body is being waited for.
  socket.write(`POST /v1/closure HTTP/1.1\r\nHost: x\r\n${auth}Expect: 100-continue\r\nContent-Length: 500\r\n\r\n{`)
  await once(socket, 'data')
  socket.destroy()
  const isLogged = () => cache.log.some(({ message }) => message === 'A request ended before its body did')
  while (!isLogged() && !cache.log.some(({ level }) => level === 'error')) await new Promise(setImmediate)
  expect(isLogged()).toBe(true)
})

describe('hostile headers', () => {
  test.each([
    ['a Host that is markup', 'Host: "><script>alert(1)</script>\r\n'],
    ['a forged ray and address', 'Host: x\r\nCF-Ray: <script>\r\nCF-Connecting-IP: <script>\r\n'],
    ['X-Forwarded-Host', 'Host: x\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: gopher\r\n'],
    [
      'an 8 KB ray and address',
      `Host: x\r\nCF-Ray: ${'script'.repeat(1300)}\r\nCF-Connecting-IP: fe80::1%${'script'.repeat(1000)}\r\n`,
    ],
    [
      'a repeated Host, ray and scheme',
      'Host: x\r\nCF-Ray: 1-FRA\r\nCF-Ray: script\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Proto: gopher\r\n',
    ],
  ])('%s is not reflected', async (_what, headers) => {
    for (const target of ['/', '/absent', '/nix-cache-info']) {
      const answer = await sendRaw(cache.port, `GET ${target} HTTP/1.1\r\n${headers}${auth}Connection: close\r\n\r\n`)
      // Pages have a script of their own, and no other.
      expect(answer.replace(/<script src="\/assets\/[^"]*" defer><\/script>|\bscript-src\b/g, '')).not.toMatch(
        /script|evil|gopher/,
      )
    }
  })

  test('what the edge says of a request is told only in the shape the edge gives it', async () => {
    const forged = `CF-Ray: 1-FRA\r\nCF-Ray: 2-FRA\r\nCF-Connecting-IP: 198.51.100.7\r\nCF-Connecting-IP: 198.51.100.8\r\n`
    const reported = cache.exchange(({ target }) => target.startsWith('/forged'))
    await sendRaw(
      cache.port,
      `GET /forged?token=hunter2 HTTP/1.1\r\nHost: x\r\n${forged}${auth}Connection: close\r\n\r\n`,
    )
    const { ray, address, target } = await reported
    expect([ray, address, target]).toEqual([undefined, '127.0.0.1', '/forged?…'])
  })

  test.each([
    ['http://ben:hunter2@cache.example.com/told-a', '/told-a'],
    ['HTTP://ben:hunter2@cache.example.com/told-b?token=hunter2', '/told-b?…'],
    ['/told-c?json', '/told-c?json'],
    ['/told-d?a?hunter2', '/told-d?…'],
  ])('of the target %s the log tells %s', async (target, told) => {
    const reported = cache.exchange((exchange) => exchange.target.startsWith(told.slice(0, 7)))
    await sendRaw(cache.port, `GET ${target} HTTP/1.1\r\nHost: x\r\n${auth}Connection: close\r\n\r\n`)
    expect((await reported).target).toBe(told)
  })

  test('a header beyond the limit is refused with 431', async () => {
    const answer = await sendRaw(cache.port, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`)
    expect(statusesOf(answer)).toEqual([431])
  })

  test.each([
    ['two different Content-Lengths', 'Content-Length: 3\r\nContent-Length: 4\r\n', 'abcd'],
    ['Content-Length beside Transfer-Encoding', 'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
    ['a Content-Length that is no number', 'Content-Length: -1\r\n', ''],
    ['an unknown transfer coding', 'Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n'],
    ['a folded header', 'X: a\r\n b\r\n', ''],
    ['a header name with a space', 'X : a\r\n', ''],
    ['a bare line feed', 'X: a\nY: b\r\n', ''],
    ['a NUL', 'X: a\0b\r\n', ''],
  ])('%s ends the connection without a second reply', async (_what, headers, body) => {
    const answer = await sendRaw(
      cache.port,
      `GET /nix-cache-info HTTP/1.1\r\nHost: x\r\n${auth}${headers}\r\n${body}GET /v1/version HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    )
    expect(statusesOf(answer).length).toBeLessThanOrEqual(1)
    expect(answer).not.toContain('0.0.0-test')
  })

  test('a request without Host is refused', async () => {
    expect(statusesOf(await sendRaw(cache.port, `GET /nix-cache-info HTTP/1.1\r\n${auth}\r\n`))).toEqual([400])
  })

  test('nonsense instead of HTTP is answered with 400 or nothing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        const answer = await sendRaw(cache.port, Buffer.from(bytes))
        expect(statusesOf(answer).every((status) => status >= 400 && status < 500)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })
})

describe('connections', () => {
  test('pipelined requests are answered in their order', async () => {
    const hashPart = path.slice(11, 43)
    const requests = ['/nix-cache-info', `/${hashPart}.narinfo`, '/absent', `/${hashPart}.narinfo`, '/v1/version']
    const bytes = requests
      .map((target, at) => `GET ${target} HTTP/1.1\r\nHost: x\r\n${auth}${at === 4 ? 'Connection: close\r\n' : ''}\r\n`)
      .join('')
    const answer = await sendRaw(cache.port, bytes, { end: false })
    expect(statusesOf(answer)).toEqual([200, 200, 404, 200, 200])
    expect(answer.indexOf('StoreDir:')).toBeLessThan(answer.indexOf('StorePath:'))
    expect(answer.trimEnd().endsWith('0.0.0-test')).toBe(true)
  })

  test('pipelined requests behind one that needs its password verified keep their order', async () => {
    await using other = await openTestCache(store)
    const hashPart = path.slice(11, 43)
    const bytes = `GET /${hashPart}.narinfo HTTP/1.1\r\nHost: x\r\n${auth}\r\nGET /nix-cache-info HTTP/1.1\r\nHost: x\r\n${auth}Connection: close\r\n\r\n`
    const answer = await sendRaw(other.port, bytes, { end: false })
    expect(statusesOf(answer)).toEqual([200, 200])
    expect(answer.indexOf('StorePath:')).toBeLessThan(answer.indexOf('StoreDir:'))
  })

  test('a header that trickles in is cut off with 408', async () => {
    // Half a header, then silence: the server's own clock ends it.
    expect(statusesOf(await sendRaw(cache.port, 'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ', { end: false }))).toEqual([
      408,
    ])
  })

  test('a connection whose header never comes is gone from this side too, whatever the other side does with it', async () => {
    const half = Array.from({ length: 50 }, () => {
      const socket = connect({ port: cache.port, host: '127.0.0.1', allowHalfOpen: true })
      socket.on('error', () => {})
      socket.write('GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ')
      return socket.resume()
    })
    const count = () =>
      new Promise<number>((resolve, reject) =>
        cache.server.getConnections((error, open) => (error === null ? resolve(open) : reject(error))),
      )
    while ((await count()) < 50) await new Promise((resolve) => setImmediate(resolve))
    // None of the 50 closes its side. The suite's own limit ends this if the server does not.
    while ((await count()) > 0) await new Promise((resolve) => setTimeout(resolve, 50))
    for (const socket of half) socket.destroy()
  })

  test('HTTP/1.0 gets its narinfo and a closed connection', async () => {
    const answer = await sendRaw(cache.port, `GET /${path.slice(11, 43)}.narinfo HTTP/1.0\r\n${auth}\r\n`, {
      end: false,
    })
    expect(statusesOf(answer)).toEqual([200])
    expect(answer).toContain(`StorePath: ${path}\n`)
  })

  test('a body sent with a GET is not read as the next request', async () => {
    const smuggled = `GET /v1/version HTTP/1.1\r\nHost: x\r\n${auth}\r\n`
    const bytes = `GET /${path.slice(11, 43)}.narinfo HTTP/1.1\r\nHost: x\r\n${auth}Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`
    const answer = await sendRaw(cache.port, bytes, { end: false })
    expect(statusesOf(answer)).toEqual([200])
    expect(answer).toContain('\r\nConnection: close\r\n')
  })

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])(
    '%s with an empty chunked body, as the connector sends it, is refused, and nothing behind it is taken for a request',
    async (method) => {
      for (const target of ['/nix-cache-info', `/${path.slice(11, 43)}.narinfo`, '/absent']) {
        const bytes = `${method} ${target} HTTP/1.1\r\nHost: x\r\n${auth}Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\nGET /v1/version HTTP/1.1\r\nHost: x\r\n${auth}\r\n`
        const answer = await sendRaw(cache.port, bytes, { end: false })
        expect(statusesOf(answer)).toEqual([405])
        expect(answer).toContain('\r\nConnection: close\r\n')
        expect(answer).toMatch(/Method Not Allowed\n$/)
      }
    },
  )

  test('a body that is still to come is refused before it is there', async () => {
    const answer = await sendRaw(
      cache.port,
      `PUT /absent HTTP/1.1\r\nHost: x\r\n${auth}Content-Length: 1000000\r\n\r\n`,
      { end: false },
    )
    expect(statusesOf(answer)).toEqual([405])
  })

  test('a body without credentials is refused in the same way', async () => {
    const answer = await sendRaw(
      cache.port,
      'POST /absent HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      { end: false },
    )
    expect(statusesOf(answer)).toEqual([401])
    expect(answer).toContain('\r\nConnection: close\r\n')
  })

  test('a connection is kept open behind whatever the answer is, as long as nobody drains', async () => {
    const targets = ['/nix-cache-info', '/absent', `/${path.slice(11, 43)}.narinfo`, '/v1/version', '/%zz']
    const requests = targets.map((target) => `GET ${target} HTTP/1.1\r\nHost: x\r\n${auth}\r\n`).join('')
    const stranger = 'GET /absent HTTP/1.1\r\nHost: x\r\n\r\n'
    const answer = await sendRaw(
      cache.port,
      `${requests}${stranger}GET / HTTP/1.1\r\nHost: x\r\n${auth}Connection: close\r\n\r\n`,
      { end: false },
    )
    expect(statusesOf(answer)).toEqual([200, 404, 200, 200, 404, 401, 200])
    expect(answer.match(/^Connection: close\r$/gm)).toHaveLength(1)
  })

  test('while draining every answer, a prepared one too, says that the connection ends, and ends it', async () => {
    await using draining = await openTestCache(store)
    const targets = [`/${path.slice(11, 43)}.narinfo`, '/nix-cache-info', '/absent']
    for (const target of targets) await draining.get(target)
    // What a listener does that drains.
    draining.server.prependListener('request', (_request, response) => {
      response.shouldKeepAlive = false
    })
    for (const target of targets) {
      const answer = await sendRaw(
        draining.port,
        `GET ${target} HTTP/1.1\r\nHost: x\r\n${auth}Connection: keep-alive\r\n\r\n`,
        { end: false },
      )
      expect(statusesOf(answer)).toHaveLength(1)
      expect(answer).toContain('\r\nConnection: close\r\n')
    }
  })

  test('clients that come and go leave nothing behind', async () => {
    for (let at = 0; at < 50; at++) {
      await new Promise<void>((resolve) => {
        const socket = connect(cache.port, '127.0.0.1', () => {
          socket.write(`GET /${path.slice(11, 43)}.narinfo HTTP/1.1\r\nHost: x\r\n${auth}\r\n`)
          socket.resetAndDestroy()
          resolve()
        })
      })
    }
    expect(cache.cache.stats.transfersUnderWay).toBe(0)
  })
})
