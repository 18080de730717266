/** Converts zod's issues to problems: where, what, and the remedy. */
import type { core } from 'zod'

import { findNearest } from './did-you-mean.ts'
import { type Path, type Problem, toPointer, valueAt } from './problem.ts'
import { toUnknownKey } from './unknown-settings.ts'

type Issue = core.$ZodIssue

export function toProblems(issues: readonly Issue[], document: unknown): Problem[] {
  return issues.flatMap((issue) => toProblem(issue, [], document))
}

function toProblem(issue: Issue, parent: Path, document: unknown): Problem[] {
  const path = [...parent, ...issue.path]
  if (issue.code === 'invalid_union') return toUnionProblems(issue, path, document)
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => toUnknownKey(path, key))
  return [{ pointer: toPointer(path), ...describe(issue, valueAt(document, path)) }]
}

/** Only reports the problems of the union member that has the type of the value. */
function toUnionProblems(issue: core.$ZodIssueInvalidUnion, path: Path, document: unknown): Problem[] {
  const meant = issue.errors.filter((branch) => !branch.some(isWrongKind))
  const [only, ...others] = meant
  if (only !== undefined && others.length === 0) return only.flatMap((inner) => toProblem(inner, path, document))
  // Several objects: the one whose "type" is right.
  const discriminated = meant.filter(
    (branch) => !branch.some(({ code, path: [key] }) => code === 'invalid_value' && key === 'type'),
  )
  if (discriminated[0] !== undefined) return discriminated[0].flatMap((inner) => toProblem(inner, path, document))
  const value = valueAt(document, path)
  const words = issue.errors
    .flat()
    .flatMap((inner) => (inner.code === 'invalid_value' && isAtTop(inner) ? inner.values.map(String) : []))
  if (meant.length === 0 && typeof value === 'string' && nearestWord(value, words) !== undefined)
    return [{ pointer: toPointer(path), ...toUnknownWord(value, words) }]
  const wanted = [...new Set(issue.errors.flat().filter(isAtTop).map(wantedBy))]
  const pointer = toPointer(path)
  if (meant.length > 0)
    return [
      {
        pointer: `${pointer}/type`,
        message: 'is not a known type',
        remedy: 'see the description of the setting in config.schema.json',
      },
    ]
  return [{ pointer, message: `is ${kindOf(valueAt(document, path))}`, remedy: `give ${wanted.join(' or ')}` }]
}

const isAtTop = (issue: Issue) => issue.path.length === 0
const isWrongKind = (issue: Issue) =>
  isAtTop(issue) && (issue.code === 'invalid_type' || issue.code === 'invalid_value')

function describe(issue: Issue, value: unknown): Omit<Problem, 'pointer'> {
  switch (issue.code) {
    case 'invalid_type':
      if (value === undefined) return { message: 'is missing', remedy: `give ${wantedBy(issue)}` }
      return { message: `is ${kindOf(value)}`, remedy: `give ${wantedBy(issue)}` }
    case 'invalid_value': {
      if (value === undefined) return { message: 'is missing', remedy: `give ${wantedBy(issue)}` }
      if (typeof value === 'string') return toUnknownWord(value, issue.values.map(String))
      return { message: `(${JSON.stringify(value)}) is not a known value`, remedy: `give ${wantedBy(issue)}` }
    }
    case 'too_small':
      if (issue.origin === 'array')
        return { message: 'is an empty list', remedy: 'give at least one value, or remove it' }
      return { message: `(${String(value)}) is too small`, remedy: `give at least ${issue.minimum}` }
    case 'too_big':
      return { message: `(${String(value)}) is too large`, remedy: `give at most ${issue.maximum}` }
    case 'invalid_format':
      return {
        message: `(${JSON.stringify(value)}) is not a date and time with its zone`,
        remedy: 'write it like "2027-01-31T00:00:00Z"',
      }
    case 'custom':
      return { message: issue.message, remedy: String(issue.params?.remedy) }
    default:
      return { message: 'is not valid', remedy: 'see its description in config.schema.json' }
  }
}

/** Names that other programs use. */
const synonyms: Readonly<Record<string, string>> = {
  read: 'pull',
  download: 'pull',
  write: 'push',
  upload: 'push',
  xz: 'zstd',
  bzip2: 'zstd',
  gzip: 'zstd',
  zst: 'zstd',
}

function nearestWord(word: string, known: readonly string[]): string | undefined {
  return [synonyms[word.toLowerCase()], findNearest(word, known)].find(
    (candidate) => candidate !== undefined && known.includes(candidate),
  )
}

function toUnknownWord(word: string, known: readonly string[]): Omit<Problem, 'pointer'> {
  const nearest = nearestWord(word, known)
  const all = known.map((value) => JSON.stringify(value)).join(' or ')
  return {
    message: `(${JSON.stringify(word)}) is not a known value`,
    remedy: nearest === undefined ? `give ${all}` : `did you mean "${nearest}"? Known: ${all}`,
  }
}

const kinds: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list in brackets',
  object: 'an object in braces',
  null: 'null',
}

function wantedBy(issue: Issue): string {
  if (issue.code === 'invalid_type') return kinds[issue.expected] ?? issue.expected
  if (issue.code === 'invalid_value') return issue.values.map((value) => JSON.stringify(value)).join(' or ')
  return 'a string'
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'number' && !Number.isInteger(value)) return 'not a whole number'
  return kinds[typeof value] ?? typeof value
}
