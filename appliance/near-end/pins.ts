/** Pins as reported by the cache and by the operator's listener, and their output. */
import { formatCount, formatRelative, printable } from '../terminal/format.ts'

export interface ToldPin {
  readonly name: string
  readonly keepLast: number
  readonly expiresAt?: number
  readonly revisions: readonly { readonly at: number; readonly user: string; readonly storePaths: readonly string[] }[]
}

export function formatPins(pins: readonly ToldPin[], now: number): string {
  if (pins.length === 0) return 'There are no pins.\n'
  return pins.map((pin) => formatPin(pin, now)).join('')
}

function formatPin({ name, keepLast, expiresAt, revisions }: ToldPin, now: number): string {
  const head = [`keeps ${keepLast === 1 ? 'the last revision' : `the last ${formatCount(keepLast)} revisions`}`]
  if (expiresAt !== undefined) head.push(`expires ${formatRelative(new Date(expiresAt).toISOString(), now)}`)
  const lines = revisions.flatMap(({ at, user, storePaths }) => [
    `  ${formatRelative(new Date(at).toISOString(), now)} by ${printable(user)}`,
    ...storePaths.map((path) => `    ${printable(path)}`),
  ])
  return `${[`${printable(name)}  (${head.join(', ')})`, ...lines].join('\n')}\n`
}
