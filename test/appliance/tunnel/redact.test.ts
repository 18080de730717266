import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { createRedactor } from '../../../appliance/tunnel/watch/redact.ts'

const secret = 'correct horse/battery+staple"ü'

describe('createRedactor', () => {
  const redact = createRedactor([secret, 'ab'])

  test.each([
    ['as it stands', secret],
    ['inside a longer word', `x${secret}y`],
    ['in JSON', JSON.stringify({ a: secret })],
    ['percent-encoded', encodeURIComponent(secret)],
    ['in hex', Buffer.from(secret).toString('hex')],
    ['in base64', Buffer.from(secret).toString('base64')],
    ['in base64url', Buffer.from(secret).toString('base64url')],
  ])('takes the secret out %s', (_, text) => {
    expect(redact(text)).toContain('[secret]')
    expect(redact(text)).not.toContain('battery')
  })

  test('takes the secret out of the base64 of any longer text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 9 }), fc.uint8Array({ maxLength: 9 }), (before, after) => {
        const bytes = Buffer.concat([before, Buffer.from(secret), after])
        const left = redact(bytes.toString('base64')).split('[secret]')
        expect(left.length).toBeGreaterThan(1)
        expect(left.join('').length).toBeLessThan((4 * (before.length + after.length)) / 3 + 12)
        expect(redact(bytes.toString('base64url'))).toContain('[secret]')
      }),
    )
  })

  test.each([
    ['Authorization: Basic YW5hOmJsYWJsYQ==', 'Authorization: [secret]'],
    [
      'map[Accept:[*/*] Authorization:[Basic YW5hOmJsYWJsYQ==] Cookie:[a=b; c=d] Host:[x]]',
      'map[Accept:[*/*] Authorization:[secret] Cookie:[secret] Host:[x]]',
    ],
    [
      '{"Authorization":["Basic YW5hOmJsYWJsYQ=="],"Cf-Access-Client-Secret":["abc"],"Host":["x"]}',
      '{"Authorization":[secret],"Cf-Access-Client-Secret":[secret],"Host":["x"]}',
    ],
    ['sent Bearer abcdefghijkl to it', 'sent Bearer [secret] to it'],
    ['get https://ana:word@cache.example.com/x', 'get https://[secret]@cache.example.com/x'],
    ['get https://cache.example.com/@scope', 'get https://cache.example.com/@scope'],
    ['Unauthorized: Invalid tunnel secret', 'Unauthorized: Invalid tunnel secret'],
    ['about', 'about'],
  ])('%s', (text, wanted) => {
    expect(redact(text)).toBe(wanted)
  })

  test.each([
    ['without its padding', (text: string) => text.replace(/=+$/, '')],
    ['decoded, in hex', (text: string) => Buffer.from(text, 'base64').toString('hex')],
    ['decoded, in upper-case hex', (text: string) => Buffer.from(text, 'base64').toString('hex').toUpperCase()],
    ['in base64url', (text: string) => Buffer.from(text, 'base64').toString('base64url')],
  ])('takes a secret that is base64 itself out %s', (_, write) => {
    const own = Buffer.from('?>~~ thirty-two bytes of a secret').subarray(0, 32).toString('base64')
    expect(own).toMatch(/\+|\//)
    expect(own).toMatch(/=$/)
    expect(createRedactor([own])(`<${write(own)}>`)).toBe('<[secret]>')
  })

  test('works without any secret', () => {
    expect(createRedactor([])('plain')).toBe('plain')
  })
})
