// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the config's own syntax
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { expandEnv, expandString } from '../../../appliance/config/expand-env.ts'

const env = { NAME: 'ana', EMPTY: '', DOLLAR: '$NAME', _X1: 'x', INNER: '}"' }
const expanded = (text: string) => expandString(text, env)

describe('expandString', () => {
  test.each([
    ['$NAME', 'ana'],
    ['${NAME}', 'ana'],
    ['a$NAME-b', 'aana-b'],
    ['${NAME}b$_X1', 'anabx'],
    ['$$NAME', '$NAME'],
    ['$$$NAME', '$ana'],
    ['$$$$', '$$'],
    ['$EMPTY', ''],
    ['${EMPTY:-fallback}', 'fallback'],
    ['${NAME:-fallback}', 'ana'],
    ['${UNSET:-}', ''],
    ['${UNSET:-a b:c/-}', 'a b:c/-'],
    ['${UNSET:-$NAME}/x', 'ana/x'],
    ['${UNSET:-${ALSO_UNSET:-deep}}', 'deep'],
    ['${NAME:-${UNSET}}', 'ana'],
    ['${UNSET:-$$}', '$'],
    ['$DOLLAR', '$NAME'],
    ['${INNER}', '}"'],
    ['no variables } here {', 'no variables } here {'],
    ['$argon2id$v=19$m=65536,t=2,p=1$salt$hash', '$argon2id$v=19$m=65536,t=2,p=1$salt$hash'],
  ])('expandString turns %j into %j', (text, wanted) => {
    expect(expanded(text)).toEqual({ text: wanted, faults: [], isUnknown: false })
  })

  test.each([
    ['$UNSET', /refers to \$UNSET, which is not set/],
    ['${UNSET}', /refers to \$UNSET/],
    ['${UNSET:-$ALSO_UNSET}', /refers to \$ALSO_UNSET/],
    ['pa$word', /refers to \$word/],
    ['costs 5$', /"\$" that begins no variable/],
    ['$1', /"\$" that begins no variable/],
    ['${1}', /"\$" that begins no variable/],
    ['${NAME', /"\$" that begins no variable/],
    ['${NAME-x}', /"\$" that begins no variable/],
    ['${}', /"\$" that begins no variable/],
    ['${NAME:-x', /without its "}"/],
    ['${UNSET:-x', /without its "}"/],
    ['x$argon2id', /refers to \$argon2id/],
  ])('expandString refuses %j', (text, message) => {
    const { faults } = expanded(text)
    expect(faults).toHaveLength(1)
    expect(faults[0]!.message).toMatch(message)
    expect(faults[0]!.remedy).toContain('"$$"')
  })

  test('expandString without an environment takes defaults and marks the rest as unknown', () => {
    expect(expandString('${NAME:-x}', 'unknown')).toEqual({ text: 'x', faults: [], isUnknown: false })
    expect(expandString('$NAME', 'unknown')).toEqual({ text: '', faults: [], isUnknown: true })
    expect(expandString('$ ', 'unknown').faults).toHaveLength(1)
  })

  test('expandString gives any text back when every dollar sign is doubled', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        fc.pre(!text.startsWith('$argon2'))
        expect(expanded(`_${text}`.replaceAll('$', '$$$$')).text).toBe(`_${text}`)
      }),
    )
  })

  test('expandString takes the value of a variable as it is, whatever it holds', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 1 }),
        fc.constantFrom('$V', '${V}', '${V:-other}', '${W:-$V}'),
        (value, form) => {
          expect(expandString(`<${form}>`, { V: value })).toEqual({ text: `<${value}>`, faults: [], isUnknown: false })
        },
      ),
    )
  })

  test('expandString never throws and always ends', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('$', '{', '}', ':-', 'A', 'NAME', ' ', '${', '$$', '${A:-'), { maxLength: 30 }),
        (parts) => {
          expect(typeof expanded(parts.join('')).text).toBe('string')
        },
      ),
    )
  })
})

describe('expandEnv', () => {
  test('expandEnv expands string values at any depth and nothing else', () => {
    const document = { $NAME: '$NAME', list: ['$NAME', 1, null, true, { deep: '${NAME}' }], number: 2 }
    expect(expandEnv(document, env).value).toEqual({
      $NAME: 'ana',
      list: ['ana', 1, null, true, { deep: 'ana' }],
      number: 2,
    })
  })

  test('expandEnv cannot be made to add a key or a user by what a variable holds', () => {
    const crafted = 'x", "users": [{"name": "mallory", "password": "m"}], "y": "'
    expect(expandEnv({ password: '$EVIL' }, { EVIL: crafted }).value).toEqual({ password: crafted })
  })

  test('expandEnv names the pointer of every string with an unset variable', () => {
    const { problems } = expandEnv({ 'a/b~c': ['$ONE', { x: '$TWO' }] }, {})
    expect(problems.map(({ pointer }) => pointer)).toEqual(['/a~1b~0c/0', '/a~1b~0c/1/x'])
  })

  test('expandEnv keeps "__proto__" as the ordinary key it is', () => {
    const { value } = expandEnv(JSON.parse('{"__proto__": {"public": true}}'), {})
    expect(Object.keys(value as object)).toEqual(['__proto__'])
    expect((value as { public?: unknown }).public).toBeUndefined()
  })

  test('expandEnv leaves any document without dollar signs as it is', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (document) => {
        fc.pre(!JSON.stringify(document).includes('$'))
        expect(JSON.stringify(expandEnv(document, {}).value)).toBe(JSON.stringify(document))
      }),
    )
  })
})
