/**
 * Environment variables inside the string values of a parsed config: `$NAME`, `${NAME}`, `${NAME:-default}` (unset or
 * empty; the default may hold variables itself), and `$$` for a dollar sign. What a variable holds is taken as it is:
 * it is never expanded again and cannot add a key, a quote or a user. A string that has the form of a password hash
 * (`$argon2id$…`, `$2b$…`, `$6$…`) stays as it is. Keys are not expanded.
 */
import type { Environment } from '../machine.ts'
import { isObject, type Problem, toPointer } from './problem.ts'

export interface Expansion {
  readonly value: unknown
  readonly problems: readonly Problem[]
  /** Pointers of strings whose value is not known, because `env` was `unknown`. */
  readonly unknownPointers: ReadonlySet<string>
}

/** With `'unknown'` for an environment no variable is looked up, and none is missed. */
export function expandEnv(document: unknown, env: Environment | 'unknown'): Expansion {
  const problems: Problem[] = []
  const unknownPointers = new Set<string>()

  const expand = (value: unknown, path: readonly (string | number)[]): unknown => {
    if (typeof value === 'string') {
      const pointer = toPointer(path)
      const expanded = expandString(value, env)
      problems.push(...expanded.faults.map((fault) => ({ pointer, ...fault })))
      if (expanded.isUnknown) unknownPointers.add(pointer)
      return expanded.text
    }
    if (Array.isArray(value)) return value.map((item, index) => expand(item, [...path, index]))
    // `Object.fromEntries` defines `__proto__` as an ordinary key, which is then refused as an unknown one.
    if (isObject(value))
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, expand(item, [...path, key])]))
    return value
  }
  return { value: expand(document, []), problems, unknownPointers }
}

type Fault = Omit<Problem, 'pointer'>

interface ExpandedString {
  readonly text: string
  readonly faults: readonly Fault[]
  readonly isUnknown: boolean
}

/**
 * Modular crypt formats: a name or number of at most ten characters between two dollar signs, and no variable behind
 * them.
 */
const passwordHashForm = /^\$(?:argon2|(?:2[abxy]?|[156y]|gy|7|scrypt|pbkdf2[a-z0-9-]{0,10})\$)/

const reference = /\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(:-|\}))?/y

export function expandString(source: string, env: Environment | 'unknown'): ExpandedString {
  if (!source.includes('$') || passwordHashForm.test(source)) return { text: source, faults: [], isUnknown: false }
  const faults: Fault[] = []
  let isUnknown = false
  let at = 0

  /** An unused default is checked for its form only: its variables need not be set. */
  function scan(isInDefault: boolean, isUsed: boolean): string {
    let text = ''
    while (at < source.length) {
      const character = source[at]!
      if (character === '}' && isInDefault) return text
      if (character !== '$') {
        text += character
        at++
        continue
      }
      text += scanReference(isUsed)
    }
    if (isInDefault)
      faults.push({ message: 'has a "${" without its "}"', remedy: 'close it, or write "$$" for a dollar sign' })
    return text
  }

  function scanReference(isUsed: boolean): string {
    reference.lastIndex = at
    const [whole, dollar, plain, braced, end] = reference.exec(source)!
    at += whole.length
    if (dollar !== undefined) return '$'
    const name = plain ?? braced
    if (name === undefined) {
      faults.push({ message: 'has a "$" that begins no variable', remedy: 'write "$$" for a dollar sign' })
      return '$'
    }
    const found = env === 'unknown' ? undefined : env[name]
    if (end === ':-') {
      const isDefaultUsed = found === undefined || found === ''
      const text = scan(true, isUsed && isDefaultUsed)
      at++
      return isDefaultUsed ? text : found
    }
    if (found !== undefined || !isUsed) return found ?? ''
    if (env === 'unknown') isUnknown = true
    else
      faults.push({
        message: `refers to $${name}, which is not set`,
        remedy: `set it, give a default as in "\${${name}:-default}", or write "$$" for a dollar sign`,
      })
    return ''
  }

  return { text: scan(false, true), faults, isUnknown }
}
