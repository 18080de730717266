import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { withMember } from '../../../appliance/cloudflare/json-member.ts'

describe('withMember', () => {
  test('withMember replaces a value and leaves every other byte', () => {
    const text = '{\n\t"a" :  1,\n\n\t"tunnel": {"mode": "quick", "x": [1, {"tunnel": 2}]} ,\n\t"b": "}\\",{"\n}\n'
    expect(withMember(text, 'tunnel', 'off')).toBe('{\n\t"a" :  1,\n\n\t"tunnel": "off" ,\n\t"b": "}\\",{"\n}\n')
  })

  test('withMember adds a member in the manner of the others', () => {
    expect(withMember('{\r\n    "a": 1\r\n}\r\n', 'tunnel', { mode: 'off' })).toBe(
      '{\r\n    "a": 1,\r\n    "tunnel": {\r\n        "mode": "off"\r\n    }\r\n}\r\n',
    )
    expect(withMember('{"a": [1]}', 'tunnel', { mode: 'off' })).toBe('{"a": [1],"tunnel": {"mode":"off"}}')
    expect(withMember('{ }', 'tunnel', 'off')).toBe('{\n  "tunnel": "off"\n}')
    expect(withMember('{}', 'tunnel', ['$&'])).toContain('"$&"')
    expect(withMember('\ufeff{"tunnel":"off"}', 'tunnel', 'quick')).toBe('\ufeff{"tunnel":"quick"}')
  })

  test('withMember keeps all other members and their order, whatever they are', () => {
    const object = fc.dictionary(fc.string(), fc.jsonValue())
    fc.assert(
      fc.property(object, fc.jsonValue(), fc.constantFrom(undefined, 2, '\t'), (document, value, space) => {
        const text = JSON.stringify(document, null, space)
        const changed = JSON.parse(withMember(text, 'tunnel', value))
        const wanted = { ...JSON.parse(text), tunnel: value }
        expect(JSON.stringify(changed)).toBe(JSON.stringify(wanted))
      }),
    )
  })
})
