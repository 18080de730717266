import type { IncomingMessage } from 'node:http'

import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { clientAddressOf, networkOf, publicOriginOf, rayOf } from '../../../src/http/auth/client-address.ts'

const request = (remoteAddress: string | undefined, header?: string | string[]) =>
  ({
    socket: { remoteAddress },
    headers: header === undefined ? {} : { 'cf-connecting-ip': header },
  }) as unknown as IncomingMessage

describe('clientAddressOf', () => {
  test.each([
    ['127.0.0.1', '198.51.100.7', '198.51.100.7'],
    ['::1', '2001:db8::1', '2001:db8::1'],
    ['::ffff:127.0.0.1', '198.51.100.7', '198.51.100.7'],
    [undefined, '198.51.100.7', '198.51.100.7'],
    ['203.0.113.9', '198.51.100.7', '203.0.113.9'],
    ['127.0.0.1', 'not an address', '127.0.0.1'],
    ['127.0.0.1', '198.51.100.7, 10.0.0.1', '127.0.0.1'],
    ['127.0.0.1', `fe80::1%${'a'.repeat(8000)}`, '127.0.0.1'],
    ['127.0.0.1', 'fe80::1%eth0', '127.0.0.1'],
    ['127.0.0.1', '198.51.100.7\x1b[2J', '127.0.0.1'],
    ['127.0.0.1', '1'.repeat(8192), '127.0.0.1'],
    ['127.0.0.1', '0000:0000:0000:0000:0000:ffff:198.51.100.107', '0000:0000:0000:0000:0000:ffff:198.51.100.107'],
    ['127.0.0.1', undefined, '127.0.0.1'],
    [undefined, undefined, 'local'],
  ])('from peer %s with CF-Connecting-IP %s is %s', (peer, header, address) => {
    expect(clientAddressOf(request(peer, header))).toBe(address)
  })
})

const withHeaders = (remoteAddress: string | undefined, headers: Record<string, string>) =>
  ({ socket: { remoteAddress }, headers }) as unknown as IncomingMessage

describe('rayOf', () => {
  test.each([
    ['127.0.0.1', '8f2a6c9d1e0b4c57-FRA', '8f2a6c9d1e0b4c57-FRA'],
    [undefined, '8f2a6c9d1e0b4c57-FRA', '8f2a6c9d1e0b4c57-FRA'],
    ['::1', '8f2a6c9d1e0b4c57', '8f2a6c9d1e0b4c57'],
    ['203.0.113.9', '8f2a6c9d1e0b4c57-FRA', undefined],
    ['127.0.0.1', '8f2a6c9d1e0b4c57-FRA, 8f2a6c9d1e0b4c58-LHR', undefined],
    ['127.0.0.1', '8f2a6c9d1e0b4c57-FRA\n', undefined],
    ['127.0.0.1', '<script>', undefined],
    ['127.0.0.1', 'a'.repeat(8192), undefined],
    ['127.0.0.1', '', undefined],
  ])('from peer %s of %j is %s', (peer, header, ray) => {
    expect(rayOf(withHeaders(peer, { 'cf-ray': header }))).toBe(ray)
  })
})

describe('publicOriginOf', () => {
  test.each([
    ['127.0.0.1', 'cache.example.com', 'https', 'https://cache.example.com'],
    ['127.0.0.1', 'cache.example.com:8443', 'https', 'https://cache.example.com:8443'],
    ['127.0.0.1', '127.0.0.1:8080', undefined, 'http://127.0.0.1:8080'],
    ['127.0.0.1', '[::1]:8080', 'http', 'http://[::1]:8080'],
    ['203.0.113.9', 'cache.example.com', 'https', 'http://cache.example.com'],
    ['127.0.0.1', 'cache.example.com', 'gopher', 'http://cache.example.com'],
    ['127.0.0.1', 'cache.example.com', 'https, http', 'http://cache.example.com'],
    ['127.0.0.1', 'user:password@cache.example.com', 'https', undefined],
    ['127.0.0.1', 'cache.example.com/<script>', 'https', undefined],
    ['127.0.0.1', '"><script>', 'https', undefined],
    ['127.0.0.1', 'x'.repeat(300), 'https', undefined],
    ['127.0.0.1', '', 'https', undefined],
  ])('from peer %s called %s by %s is %s', (peer, host, scheme, url) => {
    const headers = scheme === undefined ? { host } : { host, 'x-forwarded-proto': scheme }
    expect(publicOriginOf(withHeaders(peer, headers))?.url).toBe(url)
  })
})

describe('networkOf', () => {
  test.each([
    ['198.51.100.7', '198.51.100.7'],
    ['::ffff:198.51.100.7', '198.51.100.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['local', 'local'],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })

  test('puts the addresses of one /64 together, however they are written', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }), (groups) => {
        const written = groups.map((group) => group.toString(16)).join(':')
        const padded = groups
          .map((group, at) => (at < 4 ? group : 1).toString(16).padStart(4, '0').toUpperCase())
          .join(':')
        expect(networkOf(written)).toBe(networkOf(padded))
      }),
    )
  })
})
