/** Strings with a check of their own, as the settings are made of. A fault says what is wrong and what to do. */
import * as z from 'zod'

/** A check of one string: `undefined` when it is right, else what is wrong and what to do. */
export function text(check?: (value: string) => readonly [message: string, remedy: string] | undefined) {
  return z.string().check((context) => {
    const fault = check?.(context.value)
    if (fault !== undefined)
      context.issues.push({ code: 'custom', input: context.value, message: fault[0], params: { remedy: fault[1] } })
  })
}

export const controlCharacters = /[\u0000-\u001f\u007f]/

export const path = () =>
  text((value) => {
    if (value === '') return ['is empty', 'give a path']
    if (controlCharacters.test(value)) return ['holds a control character', 'remove it']
    return undefined
  })

export const absolutePath = () =>
  path().check(({ value, issues }) => {
    if (!value.startsWith('/'))
      issues.push({
        code: 'custom',
        input: value,
        message: `("${value}") is not an absolute path`,
        params: { remedy: 'begin it with "/"' },
      })
  })
