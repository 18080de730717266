/** Each fault on the way through the public host name, by a real server that behaves so. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from '@jest/globals'
import { generate } from 'selfsigned'

import { createAsk, type Login } from '../../appliance/doctor/asking.ts'
import type { Finding } from '../../appliance/doctor/finding.ts'
import { checkPublic, type PublicOptions } from '../../appliance/doctor/public-checks.ts'

const login: Login = { name: 'ben', password: 'secret' }
const key = 'cache-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
const hashPart = 'a'.repeat(32)
const narInfo = `StorePath: /nix/store/${hashPart}-hello\nURL: nar/x.nar\nSig: cache-1:AAAA\n`
const sample = { hashPart, baseName: `${hashPart}-hello`, text: narInfo, narPath: '/nar/x.nar' }
const authorization = `Basic ${btoa('ben:secret')}`

const contents: Readonly<Record<string, string>> = {
  '/nix-cache-info': 'StoreDir: /nix/store\nWantMassQuery: 1\n',
  '/v1/public-key': `${key}\n`,
  [`/${hashPart}.narinfo`]: narInfo,
}

/** As Burrow answers. */
function burrow(request: IncomingMessage, response: ServerResponse, served = contents): void {
  const missed = { 'Cache-Control': 'no-store', 'Content-Type': 'text/plain' }
  if (request.headers.authorization !== authorization) {
    response
      .writeHead(401, { ...missed, 'WWW-Authenticate': 'Basic realm="burrow", charset="UTF-8"' })
      .end('Unauthorized\n')
    return
  }
  const text = served[request.url!]
  if (text !== undefined) response.writeHead(200, { 'Cache-Control': 'private, no-transform' }).end(text)
  else if (request.url === '/nar/x.nar')
    response.writeHead(206, { 'Content-Range': 'bytes 0-15/400' }).end('0123456789abcdef')
  else response.writeHead(404, missed).end('Not Found\n')
}

const isUser = (request: IncomingMessage) => request.headers.authorization !== undefined

async function listen(server: Server): Promise<AsyncDisposable & { readonly port: number }> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      if ('closeAllConnections' in server) (server as ReturnType<typeof createServer>).closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function examineUrl(url: string, options: Partial<PublicOptions> = {}, timeoutMs = 5000): Promise<Finding[]> {
  const given = {
    url: new URL(url),
    ask: createAsk(url, { nextTimeoutMs: () => timeoutMs }),
    isPublic: false,
    login,
    storeDir: '/nix/store',
    publicKeys: [key],
    sample,
  }
  const findings: Finding[] = []
  for await (const finding of checkPublic({ ...given, ...options })) findings.push(finding)
  return findings
}

async function examine(
  answer: RequestListener,
  options: Partial<PublicOptions> = {},
  timeoutMs?: number,
): Promise<Finding[]> {
  await using server = await listen(createServer(answer))
  return await examineUrl(`http://127.0.0.1:${server.port}`, options, timeoutMs)
}

const broken = (findings: readonly Finding[]) =>
  findings.filter(({ grade }) => grade !== 'ok').map(({ grade, fault }) => `${grade} ${fault}`)

describe('a way in order', () => {
  test('is told to be so, step by step', async () => {
    const findings = await examine(burrow)
    expect(findings.map(({ grade, check }) => `${grade} ${check}`)).toEqual(
      ['public host', 'password', 'public key', 'narinfo', 'download', 'edge cache'].map((check) => `ok ${check}`),
    )
  })

  test('without an object at hand, what is absent must be missing', async () => {
    expect(broken(await examine(burrow, { sample: undefined }))).toEqual([])
    const everywhere: RequestListener = (request, response) =>
      burrow(request, response, { ...contents, [`/${'0'.repeat(32)}.narinfo`]: 'x' })
    expect(broken(await examine(everywhere, { sample: undefined }))).toEqual(['fail wrong-content'])
  })

  test('a public cache is in order when it serves everybody', async () => {
    const open: RequestListener = (request, response) => {
      request.headers.authorization = authorization
      burrow(request, response)
    }
    expect(broken(await examine(open, { isPublic: true, login: { missing: 'public' } }))).toEqual([])
    expect(broken(await examine(burrow, { isPublic: true, login: { missing: 'public' } }))).toEqual([
      'fail foreign-401',
    ])
  })

  test('where no password is known, that part is left out and said to be', async () => {
    const asked: (string | undefined)[] = []
    const findings = await examine(
      (request, response) => {
        asked.push(request.headers.authorization)
        burrow(request, response)
      },
      { login: { missing: 'only its hash' } },
    )
    expect(findings.map(({ grade, check }) => `${grade} ${check}`)).toEqual(['ok public host', 'warn password'])
    expect(asked).toEqual([undefined])
  })
})

const page = (status: number, body: string, headers = {}): RequestListener => {
  return (_request, response) =>
    response.writeHead(status, { 'Content-Type': 'text/html', Server: 'cloudflare', ...headers }).end(body)
}

describe('a fault on the way', () => {
  test.each<[string, RequestListener, fault: string]>([
    ['no connector', page(530, 'error code: 1033'), 'not-routed'],
    ['a tunnel of no DNS', page(530, 'error code: 1016'), 'not-routed'],
    ['a connector that does not reach the origin', page(502, '<h1>502 Bad gateway</h1>'), 'origin-unreachable'],
    ['another ingress rule', (_request, response) => response.writeHead(404).end(), 'wrong-ingress'],
    ['no ingress rule', (_request, response) => response.writeHead(503).end(), 'wrong-ingress'],
    ['a challenge', page(403, '<title>Just a moment...</title>', { 'cf-mitigated': 'challenge' }), 'challenge'],
    ['a redirect to http', page(301, '', { Location: 'http://127.0.0.1:1/nix-cache-info' }), 'redirect'],
    ['Access', page(302, '', { Location: 'https://team.cloudflareaccess.com/cdn-cgi/access/login' }), 'redirect'],
    ['another login', page(401, '', { 'WWW-Authenticate': 'Basic realm="nas"' }), 'foreign-401'],
    ['a wait in vain at the edge', page(524, 'error code: 524'), 'timeout'],
    ['a limit of bodies', page(413, ''), 'body-limit'],
    ['somebody who serves all', (_request, response) => response.end(contents['/nix-cache-info']), 'unprotected'],
    [
      'a copy for strangers',
      (_request, response) => response.setHeader('CF-Cache-Status', 'HIT').end('StoreDir: /nix/store\n'),
      'cached-private-reply',
    ],
  ])('%s is named at the first request, and nobody is told a password', async (_name, answer, fault) => {
    const passwords: string[] = []
    const findings = await examine((request, response) => {
      if (isUser(request)) passwords.push(request.url!)
      answer(request, response)
    })
    expect({ broken: broken(findings), passwords }).toEqual({ broken: [`fail ${fault}`], passwords: [] })
  })

  test.each<[string, RequestListener, broken: string[]]>([
    [
      'a wrong password',
      (request, response) => burrow(Object.assign(request, { headers: {} }), response),
      ['fail password-refused'],
    ],
    [
      'another key',
      (request, response) => burrow(request, response, { ...contents, '/v1/public-key': 'other-1:BBBB\n' }),
      ['fail wrong-key'],
    ],
    [
      'another signature',
      (request, response) =>
        burrow(request, response, { ...contents, [`/${hashPart}.narinfo`]: narInfo.replace('AAAA', 'BBBB') }),
      ['fail wrong-key'],
    ],
    [
      'a machine that lacks the path',
      (request, response) => burrow(request, response, { ...contents, [`/${hashPart}.narinfo`]: undefined! }),
      ['fail wrong-key'],
    ],
    [
      'another store',
      (request, response) => burrow(request, response, { ...contents, '/nix-cache-info': 'StoreDir: /gnu/store\n' }),
      ['fail wrong-content'],
    ],
    [
      'a web page for users',
      (request, response) => burrow(request, response, { ...contents, '/nix-cache-info': '<html>' }),
      ['fail wrong-content'],
    ],
    [
      'a Burrow that cannot read its store',
      (request, response) =>
        isUser(request)
          ? response.writeHead(503, { 'Cache-Control': 'no-store', 'Retry-After': '15' }).end('Service Unavailable\n')
          : burrow(request, response),
      ['fail not-ready'],
    ],
    [
      'ranges that are not honoured',
      (request, response) =>
        request.url === '/nar/x.nar' && isUser(request) ? response.end('0123456789abcdefg') : burrow(request, response),
      ['warn altered'],
    ],
    [
      'a cache that hands what the user got to strangers',
      (request, response) => {
        if (request.url?.endsWith('.narinfo')) request.headers.authorization = authorization
        burrow(request, response)
      },
      ['fail cached-private-reply'],
    ],
    [
      'a cache that admits it',
      (request, response) => {
        if (isUser(request)) response.setHeader('CF-Cache-Status', 'HIT')
        burrow(request, response)
      },
      ['fail cached-private-reply'],
    ],
  ])('%s is named when the user asks', async (_name, answer, expected) => {
    expect(broken(await examine(answer))).toEqual(expected)
  })

  test('compression on the way is named once, and the contents are still compared', async () => {
    const findings = await examine((request, response) => {
      const text = contents[request.url!]
      if (!isUser(request) || text === undefined) return burrow(request, response)
      response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync(text))
    })
    expect(broken(findings)).toEqual(['warn altered'])
    expect(findings.map(({ check }) => check)).toContain('narinfo')
  })

  test('a proxy of the old protocol is named', async () => {
    const server = createTcpServer((socket) => {
      socket
        .on('error', () => {})
        .once('data', () => socket.end('HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="burrow"\r\n\r\n'))
    })
    await using open = await listen(server)
    expect(broken(await examineUrl(`http://127.0.0.1:${open.port}`))).toContain('warn http-1.0')
  })

  test('a server that never answers costs no more than its time', async () => {
    expect(broken(await examine(() => {}, {}, 30))).toEqual(['fail timeout'])
  })

  test('a name nobody knows, and a port nobody has', async () => {
    // Too long for a label: refused by the resolver without asking anybody.
    expect(broken(await examineUrl(`https://${'a'.repeat(64)}.invalid`))).toEqual(['fail dns'])
    const server = await listen(createServer())
    await server[Symbol.asyncDispose]()
    expect(broken(await examineUrl(`http://127.0.0.1:${server.port}`))).toEqual(['fail unreachable'])
  })

  test('a certificate nobody trusts', async () => {
    const { private: privateKey, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
      keyType: 'ec',
    })
    await using server = await listen(createTlsServer({ key: privateKey, cert }, burrow))
    expect(broken(await examineUrl(`https://127.0.0.1:${server.port}`))).toEqual(['fail tls'])
  })

  test('plain http to another machine is refused, and no password goes there', async () => {
    let passwords = 0
    await using server = await listen(
      createServer((request, response) => {
        if (isUser(request)) passwords++
        burrow(request, response)
      }),
    )
    // The name says that it is elsewhere; the connection goes to the server at hand.
    const ask = createAsk(`http://127.0.0.1:${server.port}`, { nextTimeoutMs: () => 5000 })
    const findings = await examineUrl('http://cache.example.org', { ask })
    expect({ last: findings.at(-1), passwords }).toMatchObject({
      last: { grade: 'fail', remedy: 'use https' },
      passwords: 0,
    })
  })
})
