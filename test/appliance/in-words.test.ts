import { describe, expect, test } from '@jest/globals'

import { formatBytes, formatCount, formatRelative, formatSpan, printable } from '../../appliance/terminal/format.ts'

describe('in words', () => {
  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1024 * 1023.99, '1.0 MiB'],
    [5.25 * 2 ** 30, '5.3 GiB'],
    [3 * 2 ** 60, '3072.0 PiB'],
  ])('formatBytes writes %d as %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text))

  test.each([
    [0, '0 requests'],
    [1, '1 request'],
    [1234567, '1,234,567 requests'],
  ])('formatCount writes %d as %s', (count, text) => expect(formatCount(count, 'request')).toBe(text))

  test.each([
    [-5, '0 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [3_600_000, '1 h'],
    [11_100_000, '3 h 5 min'],
    [86_400_000, '1 day'],
    [190_800_000, '2 days 5 h'],
    [20 * 86_400_000, '20 days'],
  ])('formatSpan writes %d ms as %s', (ms, text) => expect(formatSpan(ms)).toBe(text))

  test('formatRelative tells past from future, and hands on what is no date', () => {
    const now = Date.parse('2030-01-01T12:00:00Z')
    expect(formatRelative('2030-01-01T11:00:00Z', now)).toBe('1 h ago')
    expect(formatRelative('2030-01-01T12:00:30Z', now)).toBe('in 30 s')
    expect(formatRelative('2030-01-01T12:00:29.700Z', now)).toBe('in 30 s')
    expect(formatRelative('2030-01-03T11:59:59Z', now)).toBe('in 2 days')
    expect(formatRelative('2030-04-01T11:59:59Z', now)).toBe('in 90 days')
    expect(formatRelative('2030-04-01T23:00:00Z', now)).toBe('in 90 days')
    expect(formatRelative('long\u001b[2J ago', now)).toBe('long [2J ago')
  })

  test('printable leaves nothing that moves a cursor, ends a line or turns the direction of text', () => {
    expect(printable('a\u001b[31mb\r\nc\u0007\u009b2Jd\u2028e\u202ef\u200bg')).toBe('a [31mb c 2Jd e f g')
    expect(printable('x'.repeat(400))).toBe(`${'x'.repeat(300)}…`)
    expect(printable('Grüße, 日本')).toBe('Grüße, 日本')
  })
})
