import { STATUS_CODES } from 'node:http'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from '@jest/globals'

import { toConnectionTrouble } from '../../appliance/doctor/connection-failure.ts'
import { findErrorCode } from '../../appliance/doctor/edge-errors.ts'
import { formatFinding } from '../../appliance/doctor/finding.ts'
import { findForeignReply, type Reply, realmOf } from '../../appliance/doctor/foreign-reply.ts'
import { findAlteration, findCachedCopy } from '../../appliance/doctor/reply-faults.ts'

const reply = (status: number, headers: Record<string, string> = {}, body: string | Buffer = ''): Reply => ({
  status,
  httpVersion: '1.1',
  headers,
  body: Buffer.from(body),
})
const html = { 'content-type': 'text/html; charset=UTF-8', server: 'cloudflare' }
const own = (status: number) =>
  reply(status, { 'cache-control': 'no-store', 'content-type': 'text/plain' }, `${STATUS_CODES[status]}\n`)

describe('findForeignReply', () => {
  test.each<[string, Reply]>([
    ['a success', reply(200, {}, 'StoreDir: /nix/store\n')],
    ['its 401', reply(401, { 'www-authenticate': 'Basic realm="burrow", charset="UTF-8"' }, 'Unauthorized\n')],
    ['its 404', own(404)],
    ['its 503', own(503)],
    ['its 403', own(403)],
  ])('takes %s for Burrow', (_name, answer) => expect(findForeignReply(answer)).toBeUndefined())

  test.each<[string, Reply, fault: string]>([
    ['a tunnel without connectors', reply(530, html, 'error code: 1033'), 'not-routed'],
    [
      'the same as a page',
      reply(530, html, '<h1><span>Error</span> <span class="code">1033</span></h1>'),
      'not-routed',
    ],
    ['a tunnel without DNS', reply(530, html, 'error code: 1016'), 'not-routed'],
    ['any other 530', reply(530, html, ''), 'not-routed'],
    ['a connector without origin', reply(502, html, '<title>502 Bad gateway</title>'), 'origin-unreachable'],
    ['the same in short', reply(502, {}, 'error code: 502'), 'origin-unreachable'],
    ["cloudflared's http_status:404", reply(404), 'wrong-ingress'],
    ["another server's 404", reply(404, { server: 'nginx/1.25' }, '<h1>404 Not Found</h1>'), 'wrong-ingress'],
    ['a 404 of the same words that a cache may keep', reply(404, {}, 'Not Found\n'), 'wrong-ingress'],
    ['cloudflared without ingress rules', reply(503), 'wrong-ingress'],
    ['a server behind the name', reply(521, html, 'error code: 521'), 'wrong-ingress'],
    ['a teapot', reply(418), 'wrong-ingress'],
    ['a challenge that says so', reply(403, { ...html, 'cf-mitigated': 'challenge' }), 'challenge'],
    ['a challenge by its page', reply(503, html, '<title>Just a moment...</title>'), 'challenge'],
    [
      'a challenge page, compressed',
      reply(
        403,
        { ...html, 'content-encoding': 'br' },
        brotliCompressSync('<script src="/cdn-cgi/challenge-platform/x">'),
      ),
      'challenge',
    ],
    ['a firewall rule', reply(403, html, 'error code: 1020'), 'blocked'],
    ['a plain 403', reply(403, html, 'Forbidden'), 'blocked'],
    [
      'Access',
      reply(302, { location: 'https://team.cloudflareaccess.com/cdn-cgi/access/login/cache.example.org?kid=x' }),
      'redirect',
    ],
    ['plain http', reply(301, { location: 'http://cache.example.org/nix-cache-info' }), 'redirect'],
    ['another place', reply(307, { location: '/login' }), 'redirect'],
    ['a redirect to nowhere', reply(302), 'redirect'],
    ["somebody else's login", reply(401, { 'www-authenticate': 'Basic realm="nas"' }), 'foreign-401'],
    ['a login without challenge', reply(401, {}, 'Unauthorized\n'), 'foreign-401'],
    ['a realm that only begins so', reply(401, { 'www-authenticate': 'Basic realm="burrow2"' }), 'foreign-401'],
    ['a bearer challenge', reply(401, { 'www-authenticate': 'Bearer realm="burrow"' }), 'foreign-401'],
    ['a wait in vain', reply(524, html, 'error code: 524'), 'timeout'],
    ['a body too large', reply(413, html, '<center>cloudflare</center>'), 'body-limit'],
    ['rate limiting', reply(429, html, 'error code: 1015'), 'rate-limit'],
    ['an odd answer', reply(520, {}, 'error code: 520'), 'edge-error'],
  ])('names the fault of %s', (_name, answer, fault) => {
    const found = findForeignReply(answer)
    expect(found?.fault).toBe(fault)
    expect(found?.remedy).not.toBe('')
  })

  test('tells Access from other redirects, and shows no query of it', () => {
    const found = findForeignReply(
      reply(302, { location: 'https://team.cloudflareaccess.com/cdn-cgi/access/login/x?token=secret' }),
    )
    expect(found?.what).toContain('Cloudflare Access')
    expect(found?.what).not.toContain('secret')
    expect(
      findForeignReply(reply(302, { location: 'https://evil.example/?x=.cloudflareaccess.com/' }))?.what,
    ).not.toContain('Cloudflare Access')
  })
})

describe('findErrorCode', () => {
  test.each([
    ['error code: 1033', 1033],
    ['<h2>Error <b>1016</b></h2>', 1016],
    ['Error code 502', 502],
    ['an error, and 1033 other things', undefined],
    ['error code: 10330', undefined],
  ])('%s', (text, code) => expect(findErrorCode(text)).toBe(code))
})

describe('findCachedCopy', () => {
  test.each([
    [{ 'cf-cache-status': 'HIT' }, 'fail'],
    [{ 'cf-cache-status': 'expired' }, 'fail'],
    [{ age: '17' }, 'fail'],
    [{ 'cf-cache-status': 'MISS' }, 'warn'],
    [{ 'cf-cache-status': 'DYNAMIC' }, undefined],
    [{ 'cf-cache-status': 'BYPASS', age: '0' }, undefined],
    [{}, undefined],
  ])('%j', (headers, grade) => expect(findCachedCopy(reply(200, headers as Record<string, string>))?.grade).toBe(grade))
})

describe('findAlteration', () => {
  test('names HTTP/1.0 and compression, and nothing else', () => {
    expect(findAlteration({ ...reply(200), httpVersion: '1.0' })?.fault).toBe('http-1.0')
    expect(findAlteration(reply(200, { 'content-encoding': 'gzip' }, gzipSync('x')))?.fault).toBe('altered')
    expect(findAlteration(reply(200, { 'content-encoding': 'identity' }))).toBeUndefined()
  })
})

test.each([
  ['ENOTFOUND', 'dns'],
  ['EAI_AGAIN', 'dns'],
  ['TIMEOUT', 'timeout'],
  ['CERT_HAS_EXPIRED', 'tls'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'tls'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls'],
  ['ECONNREFUSED', 'unreachable'],
  ['HPE_INVALID_CONSTANT', 'wrong-ingress'],
])('toConnectionTrouble takes %s for a fault of kind %s', (code, fault) => {
  expect(toConnectionTrouble({ kind: 'failure', code, message: 'it failed' }, 'cache.example.org').fault).toBe(fault)
})

test.each([
  ['Basic realm="burrow", charset="UTF-8"', 'burrow'],
  ['Digest realm="x", Basic realm="burrow"', 'burrow'],
  ['basic charset=UTF-8', undefined],
])('realmOf(%s) is %s', (header, realm) => expect(realmOf({ 'www-authenticate': header })).toBe(realm))

test('formatFinding keeps to one line, whatever the text', () => {
  const line = formatFinding(
    { grade: 'fail', check: 'tunnel', what: 'bad\n\u001b[2Jthing', remedy: 'mend\rit' },
    { isColoured: false },
  )
  expect(line).toBe('FAIL  tunnel        bad [2Jthing; mend it\n')
})
