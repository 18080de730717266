import { readFileSync } from 'node:fs'

import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { formatHash, type HashAlgorithm, type HashEncoding, parseHash, toNix32Sha256 } from '../../src/nix/hash.ts'

interface Vector {
  readonly input: string
  readonly algorithm: HashAlgorithm
  readonly base16: string
  readonly nix32: string
  readonly base64: string
  readonly sri: string
}

const vectors: Vector[] = JSON.parse(readFileSync(new URL('../vectors/hashes.json', import.meta.url), 'utf8'))
const abc = vectors.find(({ input, algorithm }) => input === 'abc' && algorithm === 'sha256')!

describe('parseHash', () => {
  test.each(vectors.map((vector) => [vector.algorithm, vector.input.slice(0, 10), vector] as const))(
    'parseHash reads what Nix prints: %s of %j',
    (algorithm, _, vector) => {
      for (const text of [
        `${algorithm}:${vector.base16}`,
        `${algorithm}:${vector.nix32}`,
        `${algorithm}:${vector.base64}`,
        vector.sri,
      ]) {
        const hash = parseHash(text)!
        expect(formatHash(hash, 'base16')).toBe(`${algorithm}:${vector.base16}`)
        expect(formatHash(hash, 'nix32')).toBe(`${algorithm}:${vector.nix32}`)
        expect(formatHash(hash, 'base64')).toBe(`${algorithm}:${vector.base64}`)
        expect(formatHash(hash, 'sri')).toBe(vector.sri)
      }
    },
  )

  test.each([
    ['upper case in base16', `sha256:${abc.base16.toUpperCase()}`],
    ['missing padding in SRI', abc.sri.replace('=', '')],
  ])('parseHash accepts %s', (_, text) => {
    expect(formatHash(parseHash(text)!, 'base16')).toBe(`sha256:${abc.base16}`)
  })

  test.each([
    ['an algorithm in upper case', `SHA256:${abc.base16}`],
    ['an unknown algorithm', `sha3:${abc.base16}`],
    ['no algorithm', abc.base16],
    ['upper case in nix32', `sha256:${abc.nix32.toUpperCase()}`],
    ['spare bits in nix32', `sha256:z${abc.nix32.slice(1)}`],
    ['missing padding in base64', `sha256:${abc.base64.slice(0, -1)}`],
    ['the URL alphabet in base64', `sha256:${abc.base64.replace('+', '-')}`],
    ['spare bits in base64', `sha256:${abc.base64.replace('0=', '1=')}`],
    ['base16 in SRI', `sha256-${abc.base16}`],
    ['nix32 in SRI', `sha256-${abc.nix32}`],
    ['a digest of another algorithm', `sha512:${abc.base16}`],
    ['a newline', `sha256:${abc.base16}\n`],
    ['a leading space', ` sha256:${abc.base16}`],
    ['an invalid digit', `sha256:${abc.base16.replace('b', 'g')}`],
    ['an empty digest', 'sha256:'],
    ['an empty SRI digest', 'sha256-'],
    ['nothing', ''],
  ])('parseHash rejects %s', (_, text) => {
    expect(parseHash(text)).toBeUndefined()
  })

  const algorithms = fc.constantFrom<[HashAlgorithm, number]>(['md5', 16], ['sha1', 20], ['sha256', 32], ['sha512', 64])
  const anyHash = algorithms.chain(([algorithm, length]) =>
    fc.uint8Array({ minLength: length, maxLength: length }).map((digest) => ({ algorithm, digest })),
  )

  test('parseHash reads back what formatHash writes, in every encoding', () => {
    fc.assert(
      fc.property(anyHash, fc.constantFrom<HashEncoding>('base16', 'nix32', 'base64', 'sri'), (hash, encoding) => {
        const again = parseHash(formatHash(hash, encoding))!
        expect(again.algorithm).toBe(hash.algorithm)
        expect(Buffer.from(again.digest)).toEqual(Buffer.from(hash.digest))
      }),
    )
  })

  test('parseHash never throws', () => {
    const near = fc
      .tuple(fc.constantFrom('sha256:', 'sha256-', 'md5:', ''), fc.string({ maxLength: 140 }))
      .map((parts) => parts.join(''))
    fc.assert(fc.property(fc.oneof(fc.string(), near), (text) => void parseHash(text)))
  })
})

describe('toNix32Sha256', () => {
  test('toNix32Sha256 converts the form of the store database to that of a narinfo', () => {
    expect(toNix32Sha256(`sha256:${abc.base16}`)).toBe(`sha256:${abc.nix32}`)
  })

  test('toNix32Sha256 rejects other algorithms and garbage', () => {
    expect(toNix32Sha256(`sha1:${'0'.repeat(40)}`)).toBeUndefined()
    expect(toNix32Sha256('sha256:')).toBeUndefined()
  })
})
