import { describe, expect, test } from '@jest/globals'

import { isEligible, timeToLive } from './cache-policy.ts'
import type { HeaderLines } from './reply-head.ts'

const byExtension = { eligible: 'by-extension' } as const

describe('isEligible', () => {
  test.each(['/nar/a.nar.zst', '/nar/a.nar.gz', '/nar/a.nar.bz2', '/a.bin', '/a.ZIP', '/a.tar?x=1', '/a.7z'])(
    'takes %s',
    (path) => {
      expect(isEligible(path, byExtension)).toBe(true)
    },
  )

  test.each([
    '/nar/a.nar',
    '/nar/a.nar.xz',
    '/a.narinfo',
    '/a.ls',
    '/a.drv',
    '/nix-cache-info',
    '/',
    '/x?a=b.zst',
    '/a.zst/b',
  ])('leaves %s', (path) => {
    expect(isEligible(path, byExtension)).toBe(false)
  })

  test('follows the rule of the dashboard', () => {
    expect(isEligible('/a.narinfo', { eligible: 'everything' })).toBe(true)
    expect(isEligible('/a.zst', { eligible: 'nothing' })).toBe(false)
  })
})

describe('timeToLive', () => {
  const ttl = (
    status: number,
    headers: HeaderLines,
    { authorization = false, edgeTtlSeconds = undefined as number | undefined } = {},
  ) =>
    timeToLive(
      status,
      headers,
      authorization,
      edgeTtlSeconds === undefined ? byExtension : { eligible: 'everything', edgeTtlSeconds },
      0,
    )
  const cc = (value: string): HeaderLines => [['Cache-Control', value]]

  test.each([
    [200, 7200],
    [206, 7200],
    [301, 7200],
    [302, 1200],
    [404, 180],
    [410, 180],
    [401, undefined],
    [403, undefined],
    [500, undefined],
  ])('of a %i without Cache-Control is %s', (status, seconds) => {
    expect(ttl(status, [])).toBe(seconds)
  })

  test.each(['private', 'no-store', 'no-cache', 'max-age=0', 's-maxage=0, max-age=60', 'Private, max-age=60'])(
    'is none for %s',
    (value) => {
      expect(ttl(200, cc(value))).toBeUndefined()
    },
  )

  test('is s-maxage, else max-age, else Expires', () => {
    expect(ttl(200, cc('max-age=60, s-maxage=30'))).toBe(30)
    expect(ttl(200, cc('public, max-age=60'))).toBe(60)
    expect(ttl(200, [['Expires', 'Thu, 01 Jan 1970 00:01:30 GMT']])).toBe(90)
    expect(ttl(200, [['Expires', '0']])).toBeUndefined()
  })

  test('goes by Cloudflare-CDN-Cache-Control before CDN-Cache-Control before Cache-Control', () => {
    const all: HeaderLines = [
      ['Cache-Control', 'max-age=1'],
      ['CDN-Cache-Control', 'max-age=2'],
      ['Cloudflare-CDN-Cache-Control', 'no-store'],
    ]
    expect(ttl(200, all)).toBeUndefined()
    expect(ttl(200, all.slice(0, 2))).toBe(2)
    expect(ttl(200, [...cc('no-store'), ['CDN-Cache-Control', 'max-age=2']])).toBe(2)
  })

  test('with Authorization is none but for public, s-maxage or must-revalidate', () => {
    expect(ttl(200, [], { authorization: true })).toBeUndefined()
    expect(ttl(200, cc('max-age=60'), { authorization: true })).toBeUndefined()
    for (const value of ['public, max-age=60', 's-maxage=60', 'must-revalidate, max-age=60'])
      expect(ttl(200, cc(value), { authorization: true })).toBe(60)
  })

  test('is none with a Set-Cookie', () => {
    expect(ttl(200, [...cc('public, max-age=60'), ['Set-Cookie', 'a=b']])).toBeUndefined()
  })

  test('is what a dashboard rule says, even for what is private', () => {
    expect(ttl(200, cc('private'), { authorization: true, edgeTtlSeconds: 5 })).toBe(5)
  })
})
