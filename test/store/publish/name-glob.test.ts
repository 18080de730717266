/** Globs of names, also those that are made to take long. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { findGlobProblem, findMatchingGlob, matchesGlob } from '../../../src/store/publish/name-glob.ts'

describe('matchesGlob', () => {
  test.each([
    ['app', 'app', true],
    ['app', 'app-1.0', false],
    ['app*', 'app-1.0', true],
    ['*-secret', 'db-secret', true],
    ['*-secret', 'db-secret-1', false],
    ['*secret*', 'secret', true],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['?', '?', true],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-b-b-d', false],
    ['App', 'app', false],
    ['a.b', 'axb', false],
    ['*a', 'aab', false],
  ])('%j and %j: %j', (glob, name, matches) => expect(matchesGlob(glob, name)).toBe(matches))

  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 12 })
  const globs = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '?'), maxLength: 8 })
  test('it agrees with a regular expression', () => {
    fc.assert(
      fc.property(globs, letters, (glob, name) => {
        const pattern = glob.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')
        expect(matchesGlob(glob, name)).toBe(new RegExp(`^${pattern}$`).test(name))
      }),
    )
  })

  test('a glob that would take a regular expression for ever is answered within its steps', () => {
    // With backtracking this is about 10^40 steps: the test would not end.
    expect(matchesGlob(`${'a*'.repeat(100)}b`, 'a'.repeat(211))).toBe(false)
  })
})

test('findMatchingGlob denies the derivation of a denied name as well', () => {
  expect(findMatchingGlob(['x', 'db-secret'], 'db-secret.drv')).toBe('db-secret')
  expect(findMatchingGlob(['db-secret'], 'db-secret.drv.drv')).toBeUndefined()
  expect(findMatchingGlob(['*.drv'], 'app.drv')).toBe('*.drv')
  expect(findMatchingGlob(['*.drv'], 'app')).toBeUndefined()
})

test.each([
  ['', /empty/],
  ['a/b', /directory/],
  ['00000000000000000000000000000000-app', /hash part/],
  ['a b', /character/],
  ['[ab]', /character/],
  ['a\u0000', /character/],
  ['a'.repeat(212), /longer/],
])('findGlobProblem refuses %j', (glob, problem) => expect(findGlobProblem(glob)).toMatch(problem))

test('findGlobProblem accepts what names are made of', () => {
  for (const glob of ['*', 'app-1.0', '*_secret?', 'a+b=c.drv', `${'*'.repeat(50)}${'a'.repeat(211)}`])
    expect(findGlobProblem(glob)).toBeUndefined()
})
