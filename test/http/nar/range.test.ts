import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { parseRange } from '../../../src/http/nar/range.ts'

describe('parseRange', () => {
  test.each([
    ['bytes=0-0', 10, { start: 0, end: 1 }],
    ['bytes=2-4', 10, { start: 2, end: 5 }],
    ['bytes=2-', 10, { start: 2, end: 10 }],
    ['bytes=-3', 10, { start: 7, end: 10 }],
    ['bytes=-30', 10, { start: 0, end: 10 }],
    ['bytes=9-999999999999999', 10, { start: 9, end: 10 }],
    ['BYTES=1-2', 10, { start: 1, end: 3 }],
    [' bytes=1-2 ', 10, { start: 1, end: 3 }],
  ])('takes %s of %i bytes', (header, size, range) => {
    expect(parseRange(header, size)).toEqual(range)
  })

  test.each(['bytes=10-', 'bytes=10-12', 'bytes=-0', 'bytes=11-11'])('calls %s of 10 bytes unsatisfiable', (header) => {
    expect(parseRange(header, 10)).toBe('unsatisfiable')
  })

  test.each([
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'bytes=4-2',
    'bytes=0-1,3-4',
    'lines=0-1',
    'bytes=1-2;',
    'bytes=0x1-2',
    'bytes=1e1-',
    'bytes=1-9999999999999999',
  ])('ignores %s', (header) => {
    expect(parseRange(header, 10)).toBeUndefined()
  })

  test('never leaves the object, whatever is sent', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^bytes=\d*-\d*$/)), fc.nat(), (header, size) => {
        const range = parseRange(header, size)
        if (range === undefined || range === 'unsatisfiable') return
        expect(range.start).toBeGreaterThanOrEqual(0)
        expect(range.end).toBeGreaterThan(range.start)
        expect(range.end).toBeLessThanOrEqual(size)
      }),
    )
  })
})
