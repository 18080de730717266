import { describe, expect, test } from '@jest/globals'
import * as fc from 'fast-check'

import {
  parseTunnelCredentials,
  parseTunnelToken,
  type Refusal,
  type TunnelIdentity,
} from '../../../appliance/tunnel/launch/token.ts'
import { formatTunnelToken } from './tunnel-identity.ts'

const identity: TunnelIdentity = {
  accountTag: '0123456789abcdef0123456789abcdef',
  tunnelId: '11111111-2222-4333-8444-555555555555',
  secret: Buffer.alloc(32, 7).toString('base64'),
  endpoint: undefined,
}
const good = { a: identity.accountTag, t: identity.tunnelId, s: identity.secret }
const encode = (content: unknown) =>
  Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)).toString('base64')
const refused = (parsed: TunnelIdentity | Refusal) =>
  'refusal' in parsed ? `${parsed.refusal}; ${parsed.remedy}` : 'accepted'

const identities = fc.record({
  accountTag: fc.stringMatching(/^[0-9a-f]{32}$/),
  tunnelId: fc.uuid(),
  secret: fc.uint8Array({ minLength: 1, maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString('base64')),
  endpoint: fc.constantFrom(undefined, 'us', 'fed'),
})

describe('parseTunnelToken', () => {
  test('reads what formatTunnelToken writes, with white space around it', () => {
    fc.assert(
      fc.property(identities, fc.constantFrom('', '\n', ' ', '\r\n\t'), (any, space) => {
        expect(parseTunnelToken(`${space}${formatTunnelToken(any)}${space}`)).toEqual(any)
      }),
    )
  })

  test('takes a tunnel id in upper case, further fields and an empty endpoint', () => {
    expect(parseTunnelToken(encode({ ...good, t: identity.tunnelId.toUpperCase(), e: '', x: 1 }))).toEqual(identity)
  })

  test.each<[string, string, RegExp]>([
    ['nothing', ' \n', /^is empty; copy it again/],
    [
      'a whole command',
      `cloudflared service install ${encode(good)}`,
      /white space.*keep the word that begins with eyJ/,
    ],
    ['two lines', `${encode(good)}\n${encode(good)}`, /white space/],
    ['quotes', `"${encode(good)}"`, /stands in quotes; remove them/],
    ['a credentials file', '{"AccountTag":"x"}', /is JSON.*"credentialsFile"/s],
    ['the base64url alphabet', 'eyJhIjoi-_-_', /base64url/],
    [
      'a token without its padding',
      encode({ ...good, e: 'us' })
        .replace(/=+$/, '')
        .slice(0, -1),
      /is not base64/,
    ],
    ['a token that is cut', encode(good).slice(0, 40), /is not a tunnel token/],
    ['base64 of no JSON', encode('hello'), /is not a tunnel token/],
    ['base64 of other JSON', encode({ x: 1 }), /lacks account, tunnel or secret/],
    ['base64 of null', encode('null'), /lacks/],
    ['no account', encode({ ...good, a: '' }), /lacks/],
    ['an account that is a path', encode({ ...good, a: '../x' }), /lacks/],
    ['no UUID', encode({ ...good, t: 'my-tunnel' }), /lacks/],
    ['no secret', encode({ ...good, s: '' }), /lacks/],
    ['a secret that is no base64', encode({ ...good, s: '!!!' }), /lacks/],
    ['a number for a secret', encode({ ...good, s: 7 }), /lacks/],
  ])('refuses %s', (_what, text, expected) => {
    expect(refused(parseTunnelToken(text))).toMatch(expected)
  })

  test('never throws, and never repeats what it refuses', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 12 }), (text) => {
        const said = refused(parseTunnelToken(text))
        expect(said === 'accepted' || !said.includes(text)).toBe(true)
      }),
    )
  })

  test('is quick with a hostile text', () => {
    expect(refused(parseTunnelToken(`${'A'.repeat(65_535)}!`))).toMatch(/is not base64/)
  })
})

describe('parseTunnelCredentials', () => {
  const file = { AccountTag: identity.accountTag, TunnelSecret: identity.secret, TunnelID: identity.tunnelId }

  test('reads what "cloudflared tunnel create" writes: the same as the token', () => {
    expect(parseTunnelCredentials(`${JSON.stringify({ ...file, Endpoint: '' })}\n`)).toEqual(
      parseTunnelToken(formatTunnelToken(identity)),
    )
    expect(parseTunnelCredentials(JSON.stringify({ ...file, Endpoint: 'us' }))).toEqual({ ...identity, endpoint: 'us' })
  })

  test.each<[string, string, RegExp]>([
    ['a token', formatTunnelToken(identity), /is not JSON/],
    ['nothing', '', /is not JSON/],
    ['a list', '[]', /lacks AccountTag/],
    ['a certificate', '{"zoneID":"x","accountID":"y","apiToken":"z"}', /lacks AccountTag/],
    ['no secret', JSON.stringify({ ...file, TunnelSecret: undefined }), /lacks/],
    ['a name for a tunnel', JSON.stringify({ ...file, TunnelID: 'burrow' }), /lacks/],
  ])('refuses %s, and names the right file', (_what, text, expected) => {
    const said = refused(parseTunnelCredentials(text))
    expect(said).toMatch(expected)
    expect(said).toContain('"cloudflared tunnel create"')
  })
})
