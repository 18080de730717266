import { describe, expect, test } from '@jest/globals'

import { mayHonourRange, statusByConditions } from '../../../src/http/nar/conditions.ts'

const etag = '"abc"'

describe('statusByConditions', () => {
  test.each([
    [{ 'if-none-match': '"abc"' }, 304],
    [{ 'if-none-match': 'W/"abc"' }, 304],
    [{ 'if-none-match': '"x", "abc"' }, 304],
    [{ 'if-none-match': '*' }, 304],
    [{ 'if-none-match': '"x"' }, undefined],
    [{ 'if-match': '"x"' }, 412],
    [{ 'if-match': 'W/"abc"' }, 412],
    [{ 'if-match': '"abc"' }, undefined],
    [{ 'if-match': '*' }, undefined],
    [{}, undefined],
  ])('%j gives %s', (headers, status) => {
    expect(statusByConditions(headers, etag)).toBe(status)
  })
})

describe('mayHonourRange', () => {
  test('honours a range without If-Range, and with this very entity tag', () => {
    expect(mayHonourRange({}, etag)).toBe(true)
    expect(mayHonourRange({ 'if-range': etag }, etag)).toBe(true)
  })

  test.each(['"x"', 'W/"abc"', 'Tue, 01 Jan 2030 00:00:00 GMT', ''])(
    'sends the whole when If-Range is %s',
    (ifRange) => {
      expect(mayHonourRange({ 'if-range': ifRange }, etag)).toBe(false)
    },
  )
})
