/**
 * What `JSON.parse` does not tell: where a JSON text (RFC 8259) goes wrong, by line and column and without quoting it
 * (it may hold passwords), whether an object names a key twice (the last would win in silence), and on which line each
 * value stands.
 */

export interface JsonFault {
  /** Both from 1; columns in UTF-16 units. */
  readonly line: number
  readonly column: number
  readonly message: string
}

export type JsonText =
  | { readonly value: unknown; readonly lineOf: (pointer: string) => number | undefined }
  | { readonly fault: JsonFault }

export function parseJsonText(text: string): JsonText {
  const offsets = new Map<string, number>()
  try {
    scanDocument(text, offsets)
  } catch (error) {
    if (error instanceof ScanFault) return { fault: { ...positionOf(text, error.offset), message: error.message } }
    throw error
  }
  return {
    value: JSON.parse(text),
    lineOf: (pointer) => {
      const offset = offsets.get(pointer)
      return offset === undefined ? undefined : positionOf(text, offset).line
    },
  }
}

/** Deeper than any config, and far from the end of the stack. */
const maxDepth = 64

class ScanFault extends Error {
  readonly offset: number

  constructor(offset: number, message: string) {
    super(message)
    this.offset = offset
  }
}

function positionOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset)
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') }
}

const whitespace = /[ \t\n\r]*/y
const numberOrWord = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])|(?:true|false|null)(?!\w)/y
const stringBody = /(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*/y

function scanDocument(text: string, offsets: Map<string, number>): void {
  let at = 0

  const fail = (offset: number, message: string): never => {
    throw new ScanFault(offset, message)
  }
  const skip = (pattern: RegExp): string => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0] ?? ''
    at += found.length
    return found
  }

  function scanValue(pointer: string, depth: number): void {
    skip(whitespace)
    offsets.set(pointer, at)
    if (depth > maxDepth) fail(at, `nests deeper than ${maxDepth} levels`)
    const first = text[at]
    if (first === '{') scanMembers(pointer, depth)
    else if (first === '[') scanItems(pointer, depth)
    else if (first === '"') scanString()
    else if (skip(numberOrWord) === '') fail(at, complaintAbout(first, 'a value'))
  }

  function scanString(): string {
    const start = at++
    skip(stringBody)
    if (text[at] === '"') return JSON.parse(text.slice(start, ++at))
    if (text[at] === '\\') return fail(at, 'has a backslash that begins no JSON escape; write "\\\\" for a backslash')
    if (text[at] === undefined) return fail(start, 'has a string that does not end')
    return fail(at, 'has a line break or another control character inside a string; write "\\n" for a line break')
  }

  function scanList(close: string, scanEntry: () => void): void {
    at++
    skip(whitespace)
    if (text[at] === close) {
      at++
      return
    }
    for (;;) {
      scanEntry()
      skip(whitespace)
      const next = text[at]
      if (next !== ',' && next !== close) fail(at, complaintAbout(next, `"," or "${close}"`))
      const separator = at++
      if (next === close) return
      skip(whitespace)
      if (text[at] === close) fail(separator, `has a comma before "${close}"; remove it`)
    }
  }

  function scanMembers(pointer: string, depth: number): void {
    const keys = new Set<string>()
    scanList('}', () => {
      const start = at
      if (text[at] !== '"') fail(at, complaintAbout(text[at], 'a key in double quotes'))
      const key = scanString()
      if (keys.has(key)) fail(start, `names the key "${key}" twice in one object; remove one of them`)
      keys.add(key)
      skip(whitespace)
      if (text[at] !== ':') fail(at, complaintAbout(text[at], '":"'))
      at++
      scanValue(`${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, depth + 1)
    })
  }

  function scanItems(pointer: string, depth: number): void {
    let index = 0
    scanList(']', () => scanValue(`${pointer}/${index++}`, depth + 1))
  }

  scanValue('', 0)
  skip(whitespace)
  if (at < text.length) fail(at, 'goes on after its end; remove what follows')
}

function complaintAbout(found: string | undefined, wanted: string): string {
  if (found === undefined) return `ends where ${wanted} should be`
  if (found === '/' || found === '#')
    return 'has a comment, which JSON does not know; remove it (editors show each setting\'s meaning by "$schema")'
  if (found === "'") return 'has a single quote; JSON strings stand in double quotes'
  return `should have ${wanted} here`
}
