import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'

import { createAccessVerifier } from '../../../appliance/cloudflare/access.ts'
import { createVisitors } from '../../../appliance/cloudflare/visitors.ts'

const audience = 'a'.repeat(64)
const issuer = 'https://example.cloudflareaccess.com'
const now = new Date('2026-06-01T12:00:00Z')
const nowSeconds = now.getTime() / 1000

/** The team's keys, and how often they were asked for. */
const served: { keys: JWK[]; status: number; body: string | undefined; asked: number } = {
  keys: [],
  status: 200,
  body: undefined,
  asked: 0,
}
const server = createServer((_request, response) => {
  served.asked++
  response.writeHead(served.status, { 'Content-Type': 'application/json' })
  response.end(served.body ?? JSON.stringify({ keys: served.keys, public_certs: [] }))
})
let jwksUrl: URL
interface SigningKey {
  readonly privateKey: CryptoKey
  readonly jwk: JWK
}
let current: SigningKey
let next: SigningKey

async function createKey(kid: string): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair('RS256')
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' } }
}

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  jwksUrl = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/cdn-cgi/access/certs`)
  current = await createKey('one')
  next = await createKey('two')
})
afterAll(async () => {
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
})
beforeEach(() => void Object.assign(served, { keys: [current.jwk], status: 200, body: undefined, asked: 0 }))

const createVerifier = (refetchMs = 30_000) =>
  createAccessVerifier({ teamDomain: 'example', audience, jwksUrl, refetchMs, now: () => now })

function sign(
  claims: JWTPayload = {},
  { key = current, kid }: { key?: SigningKey; kid?: string } = {},
): Promise<string> {
  const payload = {
    iss: issuer,
    aud: [audience],
    email: 'ben@example.org',
    iat: nowSeconds - 60,
    exp: nowSeconds + 60,
    type: 'app',
    ...claims,
  }
  return new SignJWT(payload)
    .setProtectedHeader({ alg: 'RS256', kid: kid ?? key.jwk.kid!, typ: 'JWT' })
    .sign(key.privateKey)
}

describe('createAccessVerifier', () => {
  test('verify tells the address of who came, and asks for the keys once', async () => {
    const verifier = createVerifier()
    expect(await verifier.verify(await sign())).toEqual({ email: 'ben@example.org' })
    expect(await Promise.all([verifier.verify(await sign()), verifier.verify(await sign())])).toEqual([
      { email: 'ben@example.org' },
      { email: 'ben@example.org' },
    ])
    expect(served.asked).toBe(1)
  })

  test.each([
    ['an expired one, beyond a minute', { exp: nowSeconds - 61 }, 'expired'],
    ['one of another application', { aud: ['b'.repeat(64)] }, 'not-for-us'],
    ['one of another team', { iss: 'https://evil.cloudflareaccess.com' }, 'not-for-us'],
    ['one that is not valid yet', { nbf: nowSeconds + 120 }, 'not-for-us'],
    ['one that never ends', { exp: undefined }, 'not-for-us'],
    ["a service token's", { email: undefined, common_name: 'ci.access' }, 'not-a-person'],
    ['one whose address would end a line of the log', { email: 'ben\n@example.org' }, 'not-a-person'],
  ])('verify refuses %s', async (_what, claims, refusal) => {
    expect(await createVerifier().verify(await sign(claims as JWTPayload))).toEqual({ refusal })
  })

  test('verify bears a clock that is a minute off', async () => {
    expect(await createVerifier().verify(await sign({ exp: nowSeconds - 59, nbf: nowSeconds + 59 }))).toEqual({
      email: 'ben@example.org',
    })
  })

  test.each([
    ['nothing', undefined, 'missing'],
    ['an empty header', '', 'missing'],
    ['what is no JWT', 'abc', 'malformed'],
    ['two in one', 'a.b.c.d', 'malformed'],
  ])('verify refuses %s', async (_what, assertion, refusal) => {
    expect(await createVerifier().verify(assertion)).toEqual({ refusal })
  })

  test('verify refuses a huge assertion without reading it', async () => {
    expect(await createVerifier().verify(await sign({ groups: 'g'.repeat(9000) }))).toEqual({ refusal: 'malformed' })
    expect(served.asked).toBe(0)
  })

  test('verify refuses a signature of another key, a changed payload and algorithms other than RS256', async () => {
    const verifier = createVerifier()
    expect(await verifier.verify(await sign({}, { key: next, kid: 'one' }))).toEqual({ refusal: 'forged' })
    const [header, , signature] = (await sign()).split('.')
    const payload = Buffer.from(
      JSON.stringify({ iss: issuer, aud: audience, email: 'eve@example.org', iat: nowSeconds, exp: nowSeconds + 60 }),
    ).toString('base64url')
    expect(await verifier.verify(`${header}.${payload}.${signature}`)).toEqual({ refusal: 'forged' })
    const none = Buffer.from('{"alg":"none"}').toString('base64url')
    expect(await verifier.verify(`${none}.${payload}.`)).toEqual({ refusal: 'forged' })
    const secret = new TextEncoder().encode(JSON.stringify(current.jwk))
    const symmetric = await new SignJWT({ email: 'eve@example.org' })
      .setProtectedHeader({ alg: 'HS256', kid: 'one' })
      .sign(secret)
    expect(await verifier.verify(symmetric)).toEqual({ refusal: 'forged' })
  })

  test('verify finds a new key, and asks for keys no more often than it may, whatever ids are made up', async () => {
    const patient = createVerifier()
    expect(await patient.verify(await sign())).toHaveProperty('email')
    served.keys = [next.jwk, current.jwk]
    for (const kid of ['x', 'y', 'z'])
      expect(await patient.verify(await sign({}, { kid }))).toEqual({ refusal: 'forged' })
    expect(await patient.verify(await sign({}, { key: next }))).toEqual({ refusal: 'forged' })
    expect(served.asked).toBe(1)

    served.keys = [current.jwk]
    const eager = createVerifier(0)
    expect(await eager.verify(await sign())).toHaveProperty('email')
    served.keys = [next.jwk, current.jwk]
    expect(await eager.verify(await sign({}, { key: next }))).toHaveProperty('email')
  })

  test.each([
    ['answer with a fault', { status: 500 }],
    ['are no JSON', { body: '<html>' }],
    ['are endless', { body: JSON.stringify({ keys: [], filler: 'x'.repeat(300_000) }) }],
  ])('verify tells when the keys %s', async (_what, answer) => {
    Object.assign(served, answer)
    expect(await createVerifier().verify(await sign())).toEqual({ refusal: 'unavailable' })
  })

  test('verify asks for keys that cannot be had no more often than it may, however many requests come', async () => {
    Object.assign(served, { status: 500 })
    const verifier = createVerifier()
    for (let request = 0; request < 50; request++)
      expect(await verifier.verify(await sign())).toEqual({ refusal: 'unavailable' })
    expect(served.asked).toBe(1)
  })

  test.each(['example.org', 'https://example.cloudflareaccess.com.evil.org', 'a/b', ''])(
    'createAccessVerifier refuses %j as a team',
    (teamDomain) => {
      expect(() => createAccessVerifier({ teamDomain, audience, now: () => now })).toThrow('team domain')
    },
  )
})

describe('createVisitors', () => {
  const told: string[] = []
  const log = {
    debug: () => {},
    info: () => {},
    warn: (_fields: object, message: string) => void told.push(message),
    error: () => {},
  }
  const visitors = () => createVisitors({ teamDomain: 'example', audience, jwksUrl, now: () => now }, log)

  test('a visitor has a name that no user can have', async () => {
    expect(await visitors()({ 'cf-access-jwt-assertion': await sign() })).toEqual({ name: 'access:ben@example.org' })
  })

  test('nobody is a visitor without an assertion, or with a forged one', async () => {
    expect(await visitors()({})).toBeUndefined()
    expect(await visitors()({ 'cf-access-jwt-assertion': await sign({}, { key: next }) })).toBeUndefined()
    expect(told).toEqual([])
  })

  test('nobody is a visitor while the keys cannot be had, and the operator hears of it', async () => {
    served.status = 500
    expect(await visitors()({ 'cf-access-jwt-assertion': await sign() })).toBeUndefined()
    expect(told).toEqual([expect.stringContaining('Cannot fetch the keys of Cloudflare Access')])
  })
})
