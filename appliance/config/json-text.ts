/**
 * What `JSON.parse` does not report: where a JSON text (RFC 8259) is wrong, by line and column and without quoting it
 * (it may hold passwords), whether an object has a key twice (`JSON.parse` keeps the last), and the line of each value.
 */
import { printParseErrorCode, visit } from 'jsonc-parser'

import { toPointer } from './problem.ts'

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
  const lines = new Map<string, number>()
  try {
    scan(text, lines)
  } catch (error) {
    if (error instanceof SyntaxFault) return { fault: error.fault }
    throw error
  }
  return { value: JSON.parse(text), lineOf: (pointer) => lines.get(pointer) }
}

/** Deeper than any config, and far from the end of the stack. */
const maxDepth = 64

/** Thrown from the visitor's callbacks, since nothing else stops it. */
class SyntaxFault extends Error {
  readonly fault: JsonFault

  constructor(line: number, character: number, message: string) {
    super(message)
    this.fault = { line: line + 1, column: character + 1, message }
  }
}

function scan(text: string, lines: Map<string, number>): void {
  const keysOfOpenObjects: Set<string>[] = []
  let depth = 0
  /** Where the last comma is, if nothing came after it. */
  let comma: { line: number; character: number } | undefined

  const begin = (line: number, character: number, path: readonly (string | number)[]) => {
    comma = undefined
    if (depth++ > maxDepth) throw new SyntaxFault(line, character, `has more than ${maxDepth} nested levels`)
    lines.set(toPointer(path), line + 1)
  }
  visit(
    text,
    {
      onObjectBegin(_offset, _length, line, character, path) {
        begin(line, character, path())
        keysOfOpenObjects.push(new Set())
      },
      onObjectProperty(key, _offset, _length, line, character) {
        comma = undefined
        const keys = keysOfOpenObjects.at(-1)!
        if (keys.has(key))
          throw new SyntaxFault(line, character, `has the key "${key}" twice in one object; remove one of them`)
        keys.add(key)
      },
      onObjectEnd() {
        depth--
        keysOfOpenObjects.pop()
      },
      onArrayBegin: (_offset, _length, line, character, path) => begin(line, character, path()),
      onArrayEnd() {
        depth--
      },
      onLiteralValue(_value, _offset, _length, line, _character, path) {
        comma = undefined
        lines.set(toPointer(path()), line + 1)
      },
      onSeparator(separator, _offset, _length, line, character) {
        comma = separator === ',' ? { line, character } : undefined
      },
      onError(code, offset, _length, line, character) {
        const found = text[offset]
        if (comma !== undefined && (found === '}' || found === ']'))
          throw new SyntaxFault(comma.line, comma.character, `has a comma before "${found}"; remove it`)
        throw new SyntaxFault(line, character, describe(printParseErrorCode(code), found))
      },
    },
    { disallowComments: true },
  )
}

const wanted: Readonly<Record<string, string>> = {
  PropertyNameExpected: 'a key in double quotes',
  ValueExpected: 'a value',
  ColonExpected: '":"',
  CommaExpected: '"," or a closing bracket',
  CloseBraceExpected: '"," or "}"',
  CloseBracketExpected: '"," or "]"',
}

function describe(code: string, found: string | undefined): string {
  if (found === '/' || found === '#')
    return 'has a comment, which JSON does not allow; remove it (editors show the meaning of each setting if "$schema" is set)'
  if (found === "'") return 'has a single quote; write strings in double quotes'
  switch (code) {
    case 'UnexpectedEndOfString':
      return 'has a string without a closing double quote on the same line; close it, and write "\\n" for a line break'
    case 'InvalidCharacter':
      return 'has a control character inside a string; write it as an escape sequence, such as "\\t"'
    case 'InvalidEscapeCharacter':
    case 'InvalidUnicode':
      return 'has a string with a backslash that starts no JSON escape sequence; write "\\\\" for a backslash'
    case 'UnexpectedEndOfNumber':
      return 'has an incomplete number'
    case 'EndOfFileExpected':
      return 'has text after the end of the document; remove it'
    case 'InvalidSymbol':
      return 'has a word that is not JSON; strings and keys need double quotes'
    default:
      return found === undefined ? `ends where ${wanted[code]} should be` : `should have ${wanted[code]} here`
  }
}
