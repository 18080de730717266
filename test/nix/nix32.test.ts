import { createHash } from 'node:crypto'

import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { decodeNix32, encodeNix32, nix32Length } from '../../src/nix/nix32.ts'

const abc = '1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s'

describe('encodeNix32', () => {
  test('encodeNix32 writes the SHA-256 of "abc" as Nix does', () => {
    expect(encodeNix32(createHash('sha256').update('abc').digest())).toBe(abc)
  })

  test('encodeNix32 of no bytes is the empty string', () => {
    expect(encodeNix32(new Uint8Array())).toBe('')
  })

  test('decodeNix32 inverts encodeNix32 for every length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        const text = encodeNix32(bytes)
        expect(text).toHaveLength(nix32Length(bytes.length))
        expect(decodeNix32(text, bytes.length)).toEqual(bytes)
      }),
    )
  })
})

describe('decodeNix32', () => {
  test.each([
    ['one character too few', abc.slice(1)],
    ['one character too many', `0${abc}`],
    ['upper case', abc.toUpperCase()],
    ['the letter e', abc.replace('b', 'e')],
    ['a non-ASCII character', abc.replace('b', 'é')],
    ['a character far outside ASCII', abc.replace('b', '\uffff')],
    ['an unused bit that is set', abc.replace(/^1/, '2')],
    ['all unused bits set', abc.replace(/^1/, 'z')],
    ['the empty string', ''],
  ])('decodeNix32 rejects %s', (_, text) => {
    expect(decodeNix32(text, 32)).toBeUndefined()
  })

  test('decodeNix32 never throws, and accepts only what encodeNix32 writes', () => {
    const digits = fc.string({
      unit: fc.constantFrom(...'0123456789abcdefghijklmnopqrstuvwxyzAZ \n'),
      minLength: 7,
      maxLength: 8,
    })
    fc.assert(
      fc.property(fc.oneof(fc.string(), digits), fc.integer({ min: 0, max: 6 }), (text, length) => {
        const bytes = decodeNix32(text, length)
        if (bytes !== undefined) expect(encodeNix32(bytes)).toBe(text)
      }),
    )
  })
})
