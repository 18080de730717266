/** Schemas of single values. An error states the problem and the remedy. */
import * as z from 'zod'

import { parseByteSize } from './byte-size.ts'
import { parseDuration } from './duration.ts'

/** A string with a check, which returns `undefined` if the string is valid. */
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

export const byteSize = () =>
  z.union([
    z.int().min(0),
    text((value) =>
      parseByteSize(value) === undefined
        ? [`("${value}") is not a size`, 'write "20 GiB", "500 MB" or a number of bytes']
        : undefined,
    ),
  ])

export const duration = () =>
  text((value) =>
    parseDuration(value) === undefined ? [`("${value}") is not a time`, 'write "30d", "12h" or "45m"'] : undefined,
  )

export const seconds = (min: number, max: number) => z.int().min(min).max(max)

export const publicKey = () =>
  text((value) =>
    /^[^\s:]+:[A-Za-z0-9+/]{43}=$/.test(value)
      ? undefined
      : [`("${value}") is not a public key`, 'write it as in "trusted-public-keys": "name:base64"'],
  )
