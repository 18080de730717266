import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { formatListenAddress, parseListenAddress } from '../../../appliance/config/listen-address.ts'

describe('parseListenAddress', () => {
  test.each([
    ['127.0.0.1:8080', { kind: 'tcp', host: '127.0.0.1', port: 8080 }],
    ['127.1.2.3:0', { kind: 'tcp', host: '127.1.2.3', port: 0 }],
    ['localhost:65535', { kind: 'tcp', host: '127.0.0.1', port: 65535 }],
    ['LocalHost:1', { kind: 'tcp', host: '127.0.0.1', port: 1 }],
    ['[::1]:8080', { kind: 'tcp', host: '::1', port: 8080 }],
    ['[0:0:0:0:0:0:0:1]:8080', { kind: 'tcp', host: '::1', port: 8080 }],
    ['[0000::0001]:8080', { kind: 'tcp', host: '::1', port: 8080 }],
    ['unix:/run/burrow/burrow.sock', { kind: 'unix', path: '/run/burrow/burrow.sock' }],
  ])('parseListenAddress takes %j', (text, wanted) => {
    expect(parseListenAddress(text)).toEqual(wanted)
  })

  test.each([
    '0.0.0.0:8080',
    '0:8080',
    '[::]:8080',
    '[::0]:8080',
    '10.0.0.1:8080',
    '192.168.1.1:80',
    '128.0.0.1:80',
    '126.255.255.255:80',
    '127.1:8080',
    '127.0.1:8080',
    '0x7f.1:8080',
    '0x7f000001:8080',
    '2130706433:8080',
    '0177.0.0.1:8080',
    '127.0.0.01:8080',
    '127.0.0.256:80',
    '[::ffff:127.0.0.1]:8080',
    '[::ffff:7f00:1]:8080',
    '[::127.0.0.1]:8080',
    '[::1%lo]:8080',
    '[::1%eth0]:8080',
    '[::2]:8080',
    '[fe80::1]:80',
    '[127.0.0.1]:8080',
    '::1:8080',
    '127.0.0.1',
    '127.0.0.1:',
    ':8080',
    '8080',
    '',
    '*:8080',
    'localhost',
    '127.0.0.1:65536',
    '127.0.0.1:99999999',
    '127.0.0.1:-1',
    '127.0.0.1:+1',
    '127.0.0.1:8e3',
    '127.0.0.1:80 ',
    ' 127.0.0.1:80',
    '127.0.0.1 :80',
    '127.0.0.1:80\n',
    '127.0.0.1:８０',
    '127。0。0。1:80',
    'localhost.:80',
    'localhost.example.org:80',
    'evil.org:80',
    '127.0.0.1.nip.io:80',
    '127.0.0.1@evil.org:80',
    'http://127.0.0.1:8080',
    'tcp://127.0.0.1:8080',
    'unix:relative.sock',
    'unix:',
    'unix:@abstract',
    'unix:\0abstract',
    'unix:/a\0b',
    'unix:/run/',
    `unix:/${'x'.repeat(103)}`,
  ])('parseListenAddress refuses %j', (text) => {
    expect(parseListenAddress(text)).toEqual({ refusal: expect.any(String) })
  })

  test('parseListenAddress accepts no other IPv4 address than 127.x.x.x', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV6(), (four, six) => {
        expect('refusal' in parseListenAddress(`${four}:1`)).toBe(!four.startsWith('127.'))
        expect('refusal' in parseListenAddress(`[${six}]:1`)).toBe(new URL(`http://[${six}]`).hostname !== '[::1]')
      }),
    )
  })

  test('formatListenAddress writes what parseListenAddress reads', () => {
    for (const text of ['127.0.0.1:8080', '[::1]:8080', 'unix:/run/x']) {
      const parsed = parseListenAddress(text)
      if ('refusal' in parsed) throw new Error(parsed.refusal)
      expect(formatListenAddress(parsed)).toBe(text)
    }
  })
})
