import { hash } from 'node:crypto'

import { describe, expect, test } from '@jest/globals'
import sodium from 'sodium-native'

import { createLoginThrottle } from '../../../src/http/auth/login-throttle.ts'
import type { Access, User } from '../../../src/http/auth/user.ts'
import { createVerifier } from '../../../src/http/auth/verifier.ts'

const basic = (name: string, password: string) => `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
const pull = new Set<Access>(['pull'])
const plain = (name: string, password: string, expires?: Date): User => ({
  name,
  secret: { kind: 'plain', password },
  access: pull,
  expires,
})

function hashed(name: string, password: string): User {
  const text = Buffer.alloc(sodium.crypto_pwhash_STRBYTES)
  sodium.crypto_pwhash_str(
    text,
    Buffer.from(password),
    sodium.crypto_pwhash_OPSLIMIT_MIN,
    sodium.crypto_pwhash_MEMLIMIT_MIN,
  )
  return { name, secret: { kind: 'argon2id', hash: text.toString('latin1').replace(/\0+$/, '') }, access: pull }
}

function open(users: User[] | undefined) {
  const clock = { ms: 1_000_000 }
  const slept: number[] = []
  const throttle = createLoginThrottle(async (ms) => void slept.push(ms))
  const verifier = createVerifier({ users, throttle, now: () => clock.ms })
  return { verifier, clock, slept }
}

const address = '198.51.100.7'

describe('a verifier', () => {
  test('knows plain and hashed passwords, colons and all, and remembers them', async () => {
    const { verifier } = open([plain('ben', 'a:b:c'), hashed('ci', 'gehäim')])
    for (const header of [basic('ben', 'a:b:c'), basic('ci', 'gehäim')]) {
      expect(verifier.recall(header)).toBeUndefined()
      expect(await verifier.verify(header, address)).toMatchObject({ kind: 'known' })
      expect(verifier.recall(header)?.access.has('pull')).toBe(true)
    }
  })

  test.each([
    ['another password', basic('ben', 'wrong')],
    ['a longer password', basic('ben', 'secret1')],
    ['an empty password', basic('ben', '')],
    ['an empty password of a hashed user', basic('ci', '')],
    ['a password of a NUL', basic('ci', '\0')],
    ['another name', basic('Ben', 'secret')],
    ['a name of an object', basic('__proto__', 'secret')],
    ['a hashed user with the hash itself', basic('ci', '$argon2id$')],
    ['no credentials', undefined],
    ['another scheme', 'Bearer secret'],
  ])('refuses %s', async (_what, header) => {
    const { verifier } = open([plain('ben', 'secret'), hashed('ci', 'other')])
    expect(await verifier.verify(header, address)).toMatchObject({ kind: 'unknown' })
    expect(verifier.recall(header)).toBeUndefined()
  })

  test('forgets everybody when users are replaced: revocation acts on the next request', async () => {
    const { verifier } = open([plain('ben', 'secret')])
    const header = basic('ben', 'secret')
    await verifier.verify(header, address)
    verifier.replaceUsers([plain('ben', 'changed')])
    expect(verifier.recall(header)).toBeUndefined()
    expect(await verifier.verify(header, address)).toMatchObject({ kind: 'unknown' })
  })

  test('does not let in a user revoked while the password was being verified', async () => {
    const { verifier } = open([hashed('ci', 'secret')])
    const verdict = verifier.verify(basic('ci', 'secret'), address)
    verifier.replaceUsers([])
    expect(await verdict).toMatchObject({ kind: 'unknown' })
  })

  test('lets nobody in after expiry, remembered or not', async () => {
    const { verifier, clock } = open([plain('ben', 'secret', new Date(1_000_500))])
    const header = basic('ben', 'secret')
    expect(await verifier.verify(header, address)).toMatchObject({ kind: 'known' })
    clock.ms = 1_000_500
    expect(verifier.recall(header)).toBeUndefined()
    expect(await verifier.verify(header, address)).toMatchObject({ kind: 'unknown' })
  })

  test('lets everybody in when there are no users by intention, and nobody when the list is empty', async () => {
    expect(open(undefined).verifier.recall(undefined)?.access.has('pull')).toBe(true)
    expect(open([]).verifier.recall(undefined)).toBeUndefined()
  })

  test('answers wrong guesses later and later, and a right one at once', async () => {
    const { verifier, slept } = open([plain('ben', 'secret')])
    for (let guess = 0; guess < 8; guess++) await verifier.verify(basic('ben', `guess ${guess}`), address)
    expect(slept).toEqual([250, 500, 1000, 2000, 4000, 8000, 8000, 8000])
    expect(await verifier.verify(basic('ben', 'secret'), address)).toMatchObject({ kind: 'known' })
    expect(slept).toHaveLength(8)
  })

  test('does not make one address pay for the guesses of another', async () => {
    const { verifier, slept } = open([plain('ben', 'secret')])
    for (let guess = 0; guess < 6; guess++) await verifier.verify(basic(`name ${guess}`, 'x'), address)
    await verifier.verify(basic('ben', 'typo'), '203.0.113.1')
    expect(slept.at(-1)).toBe(250)
  })

  test('bounds the guesses of one network under way, without keeping out others or those it remembers', async () => {
    const { verifier } = openStuck([plain('ben', 'secret'), plain('ann', 'word')])
    await verifier.verify(basic('ben', 'secret'), address)
    void Array.from({ length: 8 }, (_, guess) => verifier.verify(basic('ann', `guess ${guess}`), address))
    expect(await verifier.verify(basic('ann', 'word'), address)).toEqual({ kind: 'slow-down', retryAfterSeconds: 5 })
    expect(await verifier.verify(basic('ben', 'secret'), address)).toMatchObject({ kind: 'known' })
    expect(await verifier.verify(basic('ann', 'word'), '203.0.113.1')).toMatchObject({ kind: 'known' })
  })

  test('keeps places for networks that have none: a first login gets in while many guess, and what finds no place is not checked', async () => {
    const { verifier } = openStuck([plain('ben', 'secret'), plain('ann', 'word')])
    void Array.from({ length: 256 }, (_, guess) =>
      verifier.verify(basic('ben', `wrong ${guess}`), `198.51.100.${guess >> 1}`),
    )
    // The guessers find no more places, not even for the right password.
    expect(await verifier.verify(basic('ben', 'secret'), '198.51.100.5')).toMatchObject({ kind: 'slow-down' })
    expect(await verifier.verify(basic('ben', 'secret'), '203.0.113.1')).toMatchObject({ kind: 'known' })
    void Array.from({ length: 400 }, (_, guess) =>
      verifier.verify(basic('ben', 'wrong'), `192.0.${guess >> 8}.${guess & 255}`),
    )
    expect(await verifier.verify(basic('ann', 'word'), '203.0.113.2')).toMatchObject({ kind: 'slow-down' })
    // Whoever got in before still does.
    expect(await verifier.verify(basic('ben', 'secret'), '198.51.100.5')).toMatchObject({ kind: 'known' })
  })

  test('keeps the last places for networks from which somebody has logged in', async () => {
    const { verifier } = openStuck([plain('ben', 'secret'), plain('ann', 'word')])
    await verifier.verify(basic('ben', 'secret'), '203.0.113.1')
    void Array.from({ length: 600 }, (_, guess) =>
      verifier.verify(basic('ben', 'wrong'), `192.0.${guess >> 8}.${guess & 255}`),
    )
    expect(await verifier.verify(basic('ann', 'word'), '203.0.113.2')).toMatchObject({ kind: 'slow-down' })
    expect(await verifier.verify(basic('ann', 'word'), '203.0.113.1')).toMatchObject({ kind: 'known' })
  })

  test('lets nobody fill the places of a network by guessing from others that a known hash puts into one bucket with it', async () => {
    const bucketOf = (network: string) => hash('sha256', network, 'buffer').readUInt32LE() % 16_384
    const victim = '203.0.113.1'
    const colliding: string[] = []
    for (let at = 0; colliding.length < 8; at++) {
      const network = `2001:db8:${(at >> 16).toString(16)}:${(at & 0xffff).toString(16)}::/64`
      if (bucketOf(network) === bucketOf(victim)) colliding.push(network.replace('/64', '1'))
    }
    const { verifier } = openStuck([plain('ben', 'secret')])
    for (const [at, from] of colliding.entries()) void verifier.verify(basic('ben', `wrong ${at}`), from)
    expect(await verifier.verify(basic('ben', 'secret'), victim)).toMatchObject({ kind: 'known' })
  })

  test('checks a login once that comes on many connections at a time, and answers all of them', async () => {
    const { verifier, slept } = open([hashed('ci', 'secret')])
    const right = await Promise.all(Array.from({ length: 25 }, () => verifier.verify(basic('ci', 'secret'), address)))
    expect(right.map(({ kind }) => kind)).toEqual(Array(25).fill('known'))
    const wrong = await Promise.all(Array.from({ length: 25 }, () => verifier.verify(basic('ci', 'wrong'), address)))
    expect(wrong.map(({ kind }) => kind)).toEqual(Array(25).fill('unknown'))
    expect(slept).toEqual([250])
  })

  test('keeps the place of a wrong guess for the whole of its delay', async () => {
    const ended: (() => void)[] = []
    const throttle = createLoginThrottle(() => new Promise((resolve) => ended.push(resolve)))
    const verifier = createVerifier({ users: [plain('ben', 'secret')], throttle, now: () => 0 })
    const guesses = Array.from({ length: 8 }, (_, guess) => verifier.verify(basic('ben', `${guess}`), address))
    for (let more = 0; more < 100; more++)
      expect(await verifier.verify(basic('ben', 'secret'), address)).toMatchObject({ kind: 'slow-down' })
    expect(throttle.failures).toBe(8)
    ended[0]!()
    await guesses[0]
    expect(await verifier.verify(basic('ben', 'secret'), address)).toMatchObject({ kind: 'known' })
  })

  test('remembers through a reload those who stayed the same, with what they may do now', async () => {
    const { verifier } = open([plain('ben', 'secret'), plain('ann', 'word')])
    await verifier.verify(basic('ben', 'secret'), address)
    await verifier.verify(basic('ann', 'word'), address)
    verifier.replaceUsers([{ ...plain('ben', 'secret'), access: new Set<Access>(['push']) }, plain('ann', 'changed')])
    expect([...verifier.recall(basic('ben', 'secret'))!.access]).toEqual(['push'])
    expect(verifier.recall(basic('ann', 'word'))).toBeUndefined()
  })

  test('does not forget everybody for one who spells the same credentials in thousands of ways', async () => {
    const { verifier } = open([plain('ben', 'secret'), plain('ann', 'word')])
    for (let spaces = 1; spaces <= 4000; spaces++)
      await verifier.verify(basic('ben', 'secret').replace(' ', ' '.repeat(spaces)), address)
    await verifier.verify(basic('ann', 'word'), address)
    for (let spaces = 4001; spaces <= 5000; spaces++)
      await verifier.verify(basic('ben', 'secret').replace(' ', ' '.repeat(spaces)), address)
    expect(verifier.recall(basic('ann', 'word'))).toBeDefined()
  })
})

/** Delays never end. */
function openStuck(users: User[]) {
  return {
    verifier: createVerifier({ users, throttle: createLoginThrottle(() => new Promise(() => {})), now: () => 0 }),
  }
}
