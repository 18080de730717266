import type { IncomingMessage } from 'node:http'

import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { clientAddressOf, networkOf } from '../../src/http/client-address.ts'

const request = (remoteAddress: string | undefined, header?: string | string[]) =>
  ({ socket: { remoteAddress }, headers: header === undefined ? {} : { 'cf-connecting-ip': header } }) as unknown as IncomingMessage

describe('clientAddressOf', () => {
  test.each([
    ['127.0.0.1', '198.51.100.7', '198.51.100.7'],
    ['::1', '2001:db8::1', '2001:db8::1'],
    ['::ffff:127.0.0.1', '198.51.100.7', '198.51.100.7'],
    [undefined, '198.51.100.7', '198.51.100.7'],
    ['203.0.113.9', '198.51.100.7', '203.0.113.9'],
    ['127.0.0.1', 'not an address', '127.0.0.1'],
    ['127.0.0.1', '198.51.100.7, 10.0.0.1', '127.0.0.1'],
    ['127.0.0.1', undefined, '127.0.0.1'],
    [undefined, undefined, 'local'],
  ])('from peer %s with CF-Connecting-IP %s is %s', (peer, header, address) => {
    expect(clientAddressOf(request(peer, header))).toBe(address)
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
        const padded = groups.map((group, at) => (at < 4 ? group : 1).toString(16).padStart(4, '0').toUpperCase()).join(':')
        expect(networkOf(written)).toBe(networkOf(padded))
      }),
    )
  })
})
