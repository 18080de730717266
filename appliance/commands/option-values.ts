/** Parsers for values of options. They throw commander's error for values that cannot be used. */
import { InvalidArgumentError } from 'commander'

import { type Access, accessKinds } from '../../src/index.ts'
import { parseByteSize } from '../config/byte-size.ts'
import { parseDuration } from '../config/duration.ts'

export function integer(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`Use a whole number from ${least} to ${most}.`)
  }
}

/** "90s", "15m", "2h"; in milliseconds. */
export function duration(text: string): number {
  const ms = parseDuration(text)
  if (ms !== undefined) return ms
  throw new InvalidArgumentError('Use a time like "90s", "15m" or "2h".')
}

/** "30d", "12h", "45m"; in milliseconds. */
export function span(text: string): number {
  const ms = parseDuration(text)
  if (ms !== undefined) return ms
  throw new InvalidArgumentError('Use a time like "30d", "12h" or "45m".')
}

export function byteSize(text: string): number {
  const bytes = parseByteSize(text)
  if (bytes !== undefined) return bytes
  throw new InvalidArgumentError('Use a size like "40GiB" or "500MB".')
}

/** A point in time: "2026-11-26", "2026-11-26T14:00Z", or a time before now like "12h". In milliseconds since 1970. */
export function past(text: string): number {
  const ago = parseDuration(text)
  const at = ago === undefined ? parseDate(text) : Date.now() - ago
  if (at !== undefined) return at
  throw new InvalidArgumentError(
    'Use a date like "2026-11-26" or "2026-11-26T14:00Z", or a time before now like "12h" or "30d".',
  )
}

/** Like `past`, but relative times are after now. */
export function future(text: string): number {
  const ahead = parseDuration(text)
  const at = ahead === undefined ? parseDate(text) : Date.now() + ahead
  if (at !== undefined && at > Date.now()) return at
  throw new InvalidArgumentError('Use a date in the future, like "2099-12-31", or a time from now like "12h" or "30d".')
}

/** As `future`, or "never": undefined. */
export function futureOrNever(text: string): Date | undefined {
  return text === 'never' ? undefined : new Date(future(text))
}

/** "pull,push" */
export function accessList(text: string): readonly Access[] {
  const words = text.split(',').map((word) => word.trim())
  const known = accessKinds.filter((right) => words.includes(right))
  if (words.every((word) => (accessKinds as readonly string[]).includes(word))) return known
  throw new InvalidArgumentError('Use "pull", "push" or "admin", or several with commas: "pull,push".')
}

function parseDate(text: string): number | undefined {
  if (!/^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})?)?$/.test(text))
    return undefined
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : at
}
