import { describe, expect, test } from '@jest/globals'

import { parseByteSize } from '../../../appliance/config/byte-size.ts'
import { editDistance, findNearest } from '../../../appliance/config/did-you-mean.ts'

describe('parseByteSize', () => {
  test.each([
    ['20 GiB', 20 * 2 ** 30],
    ['500MB', 500e6],
    ['1.5 TiB', 1.5 * 2 ** 40],
    ['1024', 1024],
    ['0', 0],
    ['7 B', 7],
    ['2kib', 2048],
  ])('parseByteSize reads %j', (text, wanted) => expect(parseByteSize(text)).toBe(wanted))

  test.each(['', 'GiB', '20 G', '-1', '1e9', '1,5 GiB', '20  GiB', '9999999999 TiB', 'NaN', '0x10'])(
    'parseByteSize refuses %j',
    (text) => expect(parseByteSize(text)).toBeUndefined(),
  )
})

describe('findNearest', () => {
  const known = ['listen', 'operator', 'users', 'signing', 'indexPage', 'larder', 'log', 'leases']
  test.each([
    ['lisetn', 'listen'],
    ['user', 'users'],
    ['index_page', 'indexPage'],
    ['Index-Page', 'indexPage'],
    ['signign', 'signing'],
    ['lease', 'leases'],
  ])('findNearest takes %j for %j', (word, wanted) => expect(findNearest(word, known)).toBe(wanted))

  test.each(['database', 'x', 'tunnel', 'a'.repeat(100_000)])('findNearest finds nothing near %.20j', (word) =>
    expect(findNearest(word, known)).toBeUndefined(),
  )

  test('editDistance counts a swap of neighbours once', () => {
    expect([
      editDistance('', ''),
      editDistance('ab', 'ba'),
      editDistance('kitten', 'sitting'),
      editDistance('abc', ''),
    ]).toEqual([0, 1, 3, 3])
  })
})
