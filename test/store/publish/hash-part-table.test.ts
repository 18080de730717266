/** The table of published paths against a Map. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'

import { buildTable, findInTable } from '../../../src/store/publish/hash-part-table.ts'

const digits = '0123456789abcdfghijklmnpqrsvwxyz'
// Few beginnings, so that many share a slot.
const hashParts = fc
  .tuple(
    fc.constantFrom('000000', '000001', 'zzzzzz'),
    fc.string({ unit: fc.constantFrom(...digits), minLength: 26, maxLength: 26 }),
  )
  .map((parts) => parts.join(''))

test('it finds what a Map finds, and nothing else', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(hashParts, fc.nat())), fc.array(hashParts), (entries, others) => {
      const map = new Map(entries)
      const table = buildTable(entries.length, entries)
      for (const hashPart of [...map.keys(), ...others]) expect(findInTable(table, hashPart)).toBe(map.get(hashPart))
    }),
  )
})

test.each(['', '0', '0'.repeat(31), '0'.repeat(33), 'e'.repeat(32), '\u0100'.repeat(32)])(
  '%j is in no table',
  (text) => {
    expect(findInTable(buildTable(1, [['0'.repeat(32), 7]]), text)).toBeUndefined()
  },
)
