import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { parseJsonText } from '../../../appliance/config/json-text.ts'

const faultOf = (text: string) => {
  const parsed = parseJsonText(text)
  return 'fault' in parsed ? parsed.fault : undefined
}

describe('parseJsonText', () => {
  test.each([
    ['{"a": 1,}', 1, 8, /comma before "}"/],
    ['[1,\n 2,\n]', 2, 3, /comma before "]"/],
    ['{"a": 1\n "b": 2}', 2, 2, /"," or a closing bracket/],
    ['{a: 1}', 1, 2, /keys need double quotes/],
    ['{1: 1}', 1, 2, /key in double quotes/],
    ["{'a': 1}", 1, 2, /single quote/],
    ['{\n  // the port\n  "a": 1}', 2, 3, /comment/],
    ['{"a" 1}', 1, 6, /":"/],
    ['{"a": }', 1, 7, /a value here/],
    ['{"a": tru}', 1, 7, /not JSON/],
    ['{"a": 01}', 1, 8, /"," or a closing bracket/],
    ['{"a": 1.}', 1, 7, /incomplete number/],
    ['{"a": "b', 1, 7, /closing double quote/],
    ['{"a": "b\nc"}', 1, 7, /line break/],
    ['{"a": "b\u0001"}', 1, 7, /control character/],
    ['{"a": "\\x"}', 1, 7, /backslash/],
    ['{"a": 1', 1, 8, /ends where/],
    ['', 1, 1, /ends where a value/],
    ['{} {}', 1, 4, /after the end of the document/],
    ['{"a": 1, "b": {"a": 2}, "a": 3}', 1, 25, /key "a" twice/],
    ['{"users": [], "\\u0075sers": []}', 1, 15, /key "users" twice/],
  ])('parseJsonText reports where %j is wrong', (text, line, column, message) => {
    expect(faultOf(text)).toMatchObject({ line, column, message: expect.stringMatching(message) })
  })

  test('parseJsonText never quotes a value', () => {
    expect(JSON.stringify(faultOf('{"password": "hunter2\n"}'))).not.toContain('hunter2')
    expect(JSON.stringify(faultOf('{"password": hunter2}'))).not.toContain('hunter2')
  })

  test('parseJsonText reports the line of every value by its pointer', () => {
    const parsed = parseJsonText('{\n "a": [\n  1,\n  {"b/c": 2}],\n "d": 3}')
    if ('fault' in parsed) throw new Error(parsed.fault.message)
    expect(['', '/a', '/a/0', '/a/1/b~1c', '/d', '/e'].map(parsed.lineOf)).toEqual([1, 2, 3, 4, 5, undefined])
  })

  test('parseJsonText refuses nesting without end', () => {
    expect(faultOf('['.repeat(100_000))?.message).toMatch(/more than 64 nested levels/)
  })

  test('parseJsonText accepts all that JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        const parsed = parseJsonText(text)
        expect('fault' in parsed ? parsed.fault : JSON.stringify(parsed.value, null, indent)).toEqual(text)
      }),
    )
  })

  test('parseJsonText accepts a text exactly when JSON.parse does, but for keys named twice', () => {
    const part = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '""',
      '1',
      '-0.5e3',
      'true',
      'null',
      ' ',
      '\n',
      '-',
      '.',
      '"\\u00e4"',
      '"\\',
      '\u0000',
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const text = parts.join('')
        const fault = faultOf(text)
        fc.pre(fault === undefined || !fault.message.includes('twice'))
        expect(fault === undefined).toBe(isJson(text))
      }),
      { numRuns: 2000 },
    )
  })
})

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
