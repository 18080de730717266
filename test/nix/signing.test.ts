import { inspect } from 'node:util'

import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { formatFingerprint } from '../../src/nix/fingerprint.ts'
import { formatSecretKey, generateSecretKey, parseSecretKey, publicKeyOf } from '../../src/nix/secret-key.ts'
import { isKeyName, isSignature, verifySignature } from '../../src/nix/signature.ts'
import { signedClosure, toPathInfo } from './vectors.ts'

const { secretKey, publicKey } = signedClosure
const bytes = secretKey.slice('throwaway-1:'.length)
const infos = signedClosure.paths.map(({ pathInfo, databaseHash }) => toPathInfo(pathInfo, databaseHash))

function messageOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('It did not throw')
}

describe('formatFingerprint', () => {
  test('formatFingerprint keeps the last semicolon without references', () => {
    const info = {
      storePath: '/nix/store/0xdv9vdnii1jms6g0879lxfzc1hgvfdg-text-dep',
      narHash: 'sha256:0jnvf0yxrya4vhmblf8m6y2nx5d6v5bwhsp72njh243m36169mfh',
      narSize: 128,
    }
    expect(formatFingerprint({ ...info, references: [] })).toBe(
      '1;/nix/store/0xdv9vdnii1jms6g0879lxfzc1hgvfdg-text-dep;sha256:0jnvf0yxrya4vhmblf8m6y2nx5d6v5bwhsp72njh243m36169mfh;128;',
    )
  })
})

describe('sign', () => {
  test.each(infos.map((info) => [info.storePath, info] as const))(
    'sign makes the same signature as Nix for %s',
    (_, info) => {
      expect([parseSecretKey(secretKey).sign(formatFingerprint(info))]).toEqual(info.signatures)
    },
  )

  test('sign makes the signature of the specification, for two references', () => {
    const fingerprint =
      '1;/nix/store/iah2ssqwr7r48743cbcv36fnp35mfpms-app-1.0;sha256:15f0xn6y2305zz0lfk8k4mgba6qy03qljmssxzgak736rn4a2yja;400;' +
      '/nix/store/iah2ssqwr7r48743cbcv36fnp35mfpms-app-1.0,/nix/store/y3s1xw06wmi0jvk4p0vvixpb12jnkysa-lib-1.0'
    expect(parseSecretKey(secretKey).sign(fingerprint)).toBe(
      'throwaway-1:QwUEkoLOa9sZkrMiq8sX/KQU+N2L79VqdeYBUe8fyaF9XLzTC1MK6faq604mZ7nWEPV9SnW4I66MPhdH1LS9Ag==',
    )
  })

  test('verifySignature accepts what sign made and nothing else', () => {
    const key = generateSecretKey('k-1')
    fc.assert(
      fc.property(fc.string(), fc.string(), (signed, other) => {
        const signature = key.sign(signed)
        expect(isSignature(signature)).toBe(true)
        expect(verifySignature(key.publicKey, signed, signature)).toBe(true)
        // Lone surrogates all become U+FFFD in UTF-8.
        if (!Buffer.from(other).equals(Buffer.from(signed)))
          expect(verifySignature(key.publicKey, other, signature)).toBe(false)
      }),
    )
    expect(verifySignature(generateSecretKey('k-1').publicKey, 'a', key.sign('a'))).toBe(false)
    expect(verifySignature(key.publicKey.replace('k-1', 'k-2'), 'a', key.sign('a'))).toBe(false)
  })

  test('verifySignature is false for malformed keys and signatures, and never throws', () => {
    fc.assert(fc.property(fc.string(), fc.string(), (key, signature) => !verifySignature(key, 'a', signature)))
    expect(verifySignature(publicKey, 'a', 'throwaway-1:AAAA')).toBe(false)
    expect(verifySignature('throwaway-1:AAAA', 'a', parseSecretKey(secretKey).sign('a'))).toBe(false)
  })
})

describe('isSignature', () => {
  test.each([
    '',
    'a',
    'a:',
    ':AAAA',
    `a b:${'A'.repeat(86)}==`,
    `a:${'A'.repeat(86)}`,
    `a:${'A'.repeat(88)}`,
    `a:${'A'.repeat(86)}==\nCA: x`,
    publicKey,
  ])('isSignature rejects %j, which would make a narinfo invalid', (text) => {
    expect(isSignature(text)).toBe(false)
  })

  test('isSignature accepts signatures made by Nix', () => {
    expect(infos.flatMap(({ signatures }) => signatures).every(isSignature)).toBe(true)
  })
})

describe('parseSecretKey', () => {
  test('parseSecretKey derives the same public key as Nix', () => {
    expect(publicKeyOf(parseSecretKey(secretKey))).toBe(publicKey)
  })

  test('parseSecretKey ignores white space around the key', () => {
    expect(parseSecretKey(` ${secretKey}\r\n\n`).publicKey).toBe(publicKey)
  })

  test('parseSecretKey with a name signs under that name', () => {
    const key = parseSecretKey(secretKey, { name: 'cache.example-2' })
    expect(key.publicKey).toBe(publicKey.replace('throwaway-1', 'cache.example-2'))
    expect(key.sign('a').startsWith('cache.example-2:')).toBe(true)
  })

  test.each([
    ['an empty file', ' \n', /empty/],
    ['no colon', bytes, /NAME:BASE64/],
    ['no name', `:${bytes}`, /NAME:BASE64/],
    ['a name with a space', `a b:${bytes}`, /white space/],
    ['a name with a control character', `a\u0001b:${bytes}`, /control characters/],
    ['a public key', publicKey, /public key/],
    ['a truncated key', secretKey.slice(0, -5), /88 characters/],
    ['a key followed by garbage', `${secretKey}garbage`, /88 characters/],
    ['two keys', `${secretKey}\n${secretKey}`, /88 characters/],
    ['halves of different keys', `throwaway-1:${generatedBytes().slice(0, 40)}${bytes.slice(40)}`, /do not match/],
  ])('parseSecretKey rejects %s with a remedy, without any part of the secret', (_, text, expected) => {
    const message = messageOf(() => parseSecretKey(text))
    expect(message).toMatch(expected)
    expect(message).toMatch(/^Cannot use the signing key: .*\. (Make|Choose|Copy|Use) /)
    for (let at = 0; at + 8 <= bytes.length; at++) expect(message).not.toContain(bytes.slice(at, at + 8))
  })

  test('parseSecretKey rejects an invalid replacement name', () => {
    expect(messageOf(() => parseSecretKey(secretKey, { name: 'a:b' }))).toMatch(/name to use instead/)
    expect(messageOf(() => parseSecretKey(secretKey, { name: '' }))).toMatch(/name to use instead/)
  })

  test('a secret key does not show its secret when printed or serialised', () => {
    const key = parseSecretKey(secretKey)
    expect(inspect(key, { depth: 10, showHidden: true }) + JSON.stringify(key)).not.toContain(bytes.slice(0, 8))
  })
})

describe('generateSecretKey', () => {
  test('generateSecretKey makes a key that survives formatSecretKey and parseSecretKey', () => {
    const key = generateSecretKey('cache.example-1')
    const again = parseSecretKey(formatSecretKey(key))
    expect([again.name, again.publicKey, again.sign('a')]).toEqual([key.name, key.publicKey, key.sign('a')])
    expect(generateSecretKey('cache.example-1').publicKey).not.toBe(key.publicKey)
  })

  test('generateSecretKey rejects an invalid name', () => {
    expect(messageOf(() => generateSecretKey('a b'))).toMatch(/white space/)
  })

  test('isKeyName rejects names that would break a narinfo line or the store database', () => {
    expect(['a', 'cache.example-1', 'ключ'].every(isKeyName)).toBe(true)
    expect(['', 'a b', 'a\tb', 'a\nb', 'a:b', 'a\u00a0b', 'a\0'].some(isKeyName)).toBe(false)
  })
})

function generatedBytes(): string {
  const key = formatSecretKey(generateSecretKey('x'))
  return key.slice('x:'.length)
}
