import { describe, expect, test } from '@jest/globals'
import * as fc from 'fast-check'

import { findVersionFault, isOlder, leastVersion, parseVersion } from '../../../appliance/tunnel/find/version.ts'

describe('isOlder', () => {
  test.each([
    ['2025.6.1', '2025.7.0', true],
    ['2025.7.0', '2025.7.0', false],
    ['2025.10.0', '2025.7.0', false],
    ['2025.7.0', '2025.10.0', true],
    ['2024.12.2', '2025.1.0', true],
    ['2026.1.0', '2025.12.1', false],
    ['2025.7.2', '2025.7.10', true],
    ['DEV', leastVersion, false],
    ['2025.7', leastVersion, false],
    ['', leastVersion, false],
  ])('%s than %s: %s', (version, than, expected) => {
    expect(isOlder(version, than)).toBe(expected)
  })

  test('orders any two versions as their numbers', () => {
    const version = fc.tuple(
      fc.integer({ min: 2000, max: 2999 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 0, max: 999 }),
    )
    const toOrdinal = ([year, month, patch]: [number, number, number]) => year * 1e6 + month * 1e3 + patch
    fc.assert(
      fc.property(version, version, (left, right) => {
        expect(isOlder(left.join('.'), right.join('.'))).toBe(toOrdinal(left) < toOrdinal(right))
      }),
    )
  })
})

test.each([
  ['2026.10.0', undefined],
  ['2025.11.1', undefined],
  ['2025.10.1', /more than a year old/],
  ['2025.6.1', /too old: Burrow wants 2025\.7\.0/],
  ['2026.8.0', /withdrawn/],
  ['2026.8.1', /withdrawn/],
  ['2026.8.2', undefined],
  ['DEV', undefined],
])('findVersionFault %s in November 2026', (version, expected) => {
  const fault = findVersionFault(version, Date.UTC(2026, 10, 26))
  if (expected === undefined) expect(fault).toBeUndefined()
  else expect(fault).toMatch(expected)
})

test.each([
  ['2025.7.0\n', '2025.7.0'],
  ['cloudflared version 2026.8.2 (built 2026-08-20-1200 UTC)\n', '2026.8.2'],
  ['cloudflared version DEV (built unknown)', 'DEV'],
  ['DEV', 'DEV'],
  ['0.1.0', undefined],
  ['192.168.1.1', undefined],
  ['', undefined],
  ['usage: …', undefined],
])('parseVersion %j', (output, expected) => {
  expect(parseVersion(output)).toBe(expected)
})
