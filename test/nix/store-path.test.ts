import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import {
  baseNameOf,
  hashPartOf,
  nameOf,
  parseBaseName,
  parseHashPart,
  parseStorePath,
} from '../../src/nix/store-path.ts'

const hashPart = 'iah2ssqwr7r48743cbcv36fnp35mfpms'

describe('parseHashPart', () => {
  test('parseHashPart accepts 32 characters of the alphabet', () => {
    expect(parseHashPart(hashPart)).toBe(hashPart)
    expect(parseHashPart('0123456789abcdfghijklmnpqrsvwxyz')).toBe('0123456789abcdfghijklmnpqrsvwxyz')
  })

  test.each([
    ['an upper-case letter', hashPart.replace('i', 'I')],
    ['the letter e', hashPart.replace('i', 'e')],
    ['the letter o', hashPart.replace('i', 'o')],
    ['the letter t', hashPart.replace('i', 't')],
    ['the letter u', hashPart.replace('i', 'u')],
    ['31 characters', hashPart.slice(1)],
    ['33 characters', `${hashPart}0`],
    ['a newline', `${hashPart}\n`],
    ['a NUL', `${hashPart.slice(1)}\0`],
    ['a slash', `${hashPart.slice(1)}/`],
    ['nothing', ''],
  ])('parseHashPart rejects %s', (_, text) => {
    expect(parseHashPart(text)).toBeUndefined()
  })
})

describe('parseBaseName', () => {
  test.each(['a', 'app-1.0', '.x', '...x', '-x', '..x-y', 'A+b?c=d_e.f-g', '.drv', '...', 'x'.repeat(211)])(
    'parseBaseName accepts the name %j',
    (name) => {
      expect(parseBaseName(`${hashPart}-${name}`)).toBe(`${hashPart}-${name}`)
    },
  )

  test.each(['', '.', '..', '.-x', '..-x', '.-', 'a b', 'a~', 'a@b', 'ä', 'a/b', 'a\nb', 'a\0', 'x'.repeat(212)])(
    'parseBaseName rejects the name %j',
    (name) => {
      expect(parseBaseName(`${hashPart}-${name}`)).toBeUndefined()
    },
  )

  test('parseBaseName requires a dash after the hash part', () => {
    expect(parseBaseName(hashPart)).toBeUndefined()
    expect(parseBaseName(`${hashPart}x-a`)).toBeUndefined()
  })
})

describe('parseStorePath', () => {
  test('parseStorePath accepts a path directly below the store directory', () => {
    expect(parseStorePath(`/nix/store/${hashPart}-app-1.0`, '/nix/store')).toBe(`/nix/store/${hashPart}-app-1.0`)
    expect(parseStorePath(`/gnu/store/${hashPart}-app-1.0`, '/gnu/store')).toBeDefined()
  })

  test.each([
    `${hashPart}-app-1.0`,
    `/nix/store/${hashPart}-app-1.0/`,
    `/nix/store/${hashPart}-app-1.0/bin`,
    `/nix/store//${hashPart}-app-1.0`,
    `/nix/store/../store/${hashPart}-app-1.0`,
    `/nix/storex${hashPart}-app-1.0`,
    `/nix/storage/${hashPart}-app-1.0`,
    `/other/store/${hashPart}-app-1.0`,
    '/nix/store',
    '/nix/store/',
    '',
  ])('parseStorePath rejects %j', (text) => {
    expect(parseStorePath(text, '/nix/store')).toBeUndefined()
  })
})

describe('the parts of a store path', () => {
  test('baseNameOf, hashPartOf and nameOf accept a store path or a base name', () => {
    for (const path of [`/nix/store/${hashPart}-app-1.0`, `${hashPart}-app-1.0`]) {
      expect([baseNameOf(path), hashPartOf(path), nameOf(path)]).toEqual([`${hashPart}-app-1.0`, hashPart, 'app-1.0'])
    }
  })

  test('what the parsers accept is composed of its parts, and they never throw', () => {
    const unit = fc.constantFrom(...'0123456789abcdfghijklmnpqrsvwxyz-+._?=etoU/ \0')
    const anyBaseName = fc
      .tuple(fc.constantFrom(`${hashPart}-`, hashPart, ''), fc.string({ unit, maxLength: 40 }))
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(anyBaseName, fc.string()), (text) => {
        const baseName = parseBaseName(text)
        expect(parseStorePath(`/nix/store/${text}`, '/nix/store')).toBe(baseName && `/nix/store/${baseName}`)
        if (baseName === undefined) return
        expect(parseHashPart(hashPartOf(baseName))).toBeDefined()
        expect(`${hashPartOf(baseName)}-${nameOf(baseName)}`).toBe(text)
      }),
    )
  })
})
