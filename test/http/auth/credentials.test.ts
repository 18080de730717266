import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { parseBasicAuthorization } from '../../../src/http/auth/credentials.ts'

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

describe('parseBasicAuthorization', () => {
  test('splits at the first colon, in UTF-8', () => {
    expect(parseBasicAuthorization(basic('ben:pä:ss'))).toEqual({ name: 'ben', password: 'pä:ss' })
    expect(parseBasicAuthorization(basic(':only'))).toEqual({ name: '', password: 'only' })
    expect(parseBasicAuthorization(basic('ben:'))).toEqual({ name: 'ben', password: '' })
  })

  test('takes the scheme in any case and without padding', () => {
    expect(parseBasicAuthorization('bAsIc YTpi')).toEqual({ name: 'a', password: 'b' })
    expect(parseBasicAuthorization('basic   YTpiYg')).toEqual({ name: 'a', password: 'bb' })
  })

  test.each([
    '',
    'Basic',
    'Basic ',
    'Bearer YTpi',
    'Basic !!!',
    'Basic YTpi YTpi',
    'BasicYTpi',
    basic('nocolon'),
    `Basic ${'A'.repeat(9000)}`,
  ])('refuses %j', (header) => {
    expect(parseBasicAuthorization(header)).toBeUndefined()
  })

  test('gives back what was encoded, and never throws', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.string({ unit: 'grapheme' }),
        fc.string(),
        (name, password, garbage) => {
          parseBasicAuthorization(garbage)
          parseBasicAuthorization(`Basic ${garbage}`)
          if (name.includes(':')) return
          expect(parseBasicAuthorization(basic(`${name}:${password}`))).toEqual({ name, password })
        },
      ),
    )
  })
})
