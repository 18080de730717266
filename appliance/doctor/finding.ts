/**
 * The output of `burrow doctor`: one finding per line, with a remedy if one is needed.
 *
 *     ok    store         /nix/store: the database is readable
 *     FAIL  public host   https://cache.example.org: the edge has no connector for it (530, error 1033); check with "burrow status" that Burrow runs
 */
import { printable } from '../terminal/format.ts'

/** `warn`: it works, but should be fixed. `fail`: clients are affected, or soon will be. */
export type Grade = 'ok' | 'warn' | 'fail'

/** Machine-readable name of a fault between clients and Burrow. */
export type FaultName =
  | 'dns'
  | 'unreachable'
  | 'tls'
  | 'timeout'
  | 'not-routed'
  | 'origin-unreachable'
  | 'wrong-ingress'
  | 'challenge'
  | 'blocked'
  | 'redirect'
  | 'body-limit'
  | 'rate-limit'
  | 'edge-error'
  | 'foreign-401'
  | 'password-refused'
  | 'unprotected'
  | 'cached-private-reply'
  | 'wrong-key'
  | 'wrong-content'
  | 'altered'
  | 'http-1.0'
  | 'not-ready'

export interface Trouble {
  readonly fault: FaultName
  readonly what: string
  readonly remedy: string
}

export interface Finding {
  readonly grade: Grade
  /** The subject of the check, one or two words. */
  readonly check: string
  readonly what: string
  readonly remedy?: string | undefined
  readonly fault?: FaultName | undefined
}

/** Yields findings as they are made; returns what later checks need. */
export type Findings<T = void> = AsyncGenerator<Finding, T, undefined>

export const ok = (check: string, what: string): Finding => ({ grade: 'ok', check, what })
export const warn = (check: string, what: string, remedy?: string): Finding => ({ grade: 'warn', check, what, remedy })
export const fail = (check: string, what: string, remedy?: string): Finding => ({ grade: 'fail', check, what, remedy })

export function toFinding(grade: Grade, check: string, { fault, what, remedy }: Trouble): Finding {
  return { grade, check, what, remedy, fault }
}

const labels: Readonly<Record<Grade, string>> = { ok: 'ok', warn: 'warn', fail: 'FAIL' }
const colours: Readonly<Record<Grade, string>> = { ok: '32', warn: '33', fail: '31' }

/** One line with its line break. Line breaks and control characters in the texts are escaped. */
export function formatFinding(
  { grade, check, what, remedy }: Finding,
  { isColoured }: { readonly isColoured: boolean },
): string {
  const label = labels[grade].padEnd(4)
  const text = remedy === undefined ? what : `${what}; ${remedy}`
  return `${isColoured ? `\u001b[${colours[grade]}m${label}\u001b[0m` : label}  ${check.padEnd(12)}  ${printable(text, 2000)}\n`
}
