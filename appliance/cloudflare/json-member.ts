/**
 * One member of a JSON document replaced in its text, so that everything else of it stays as its author wrote it:
 * order, line breaks, spaces.
 */

/** `text` is valid JSON with an object on top; `value` comes in place of its member `key`, or after the last one. */
export function withMember(text: string, key: string, value: unknown): string {
  const members = findMembers(text)
  const newline = text.includes('\r\n') ? '\r\n' : '\n'
  const [first] = members
  const indent = first === undefined ? '  ' : indentBefore(text, first.start)
  const formatted = formatValue(value, indent, newline)
  const found = members.find((member) => member.key === key)
  if (found !== undefined) return text.slice(0, found.valueStart) + formatted + text.slice(found.end)
  const entry = `${JSON.stringify(key)}: ${formatted}`
  const last = members.at(-1)
  if (last === undefined) return text.replace(/\{\s*\}/, () => `{${newline}${indent}${entry}${newline}}`)
  return `${text.slice(0, last.end)},${indent === undefined ? ' ' : newline + indent}${entry}${text.slice(last.end)}`
}

interface Member {
  readonly key: string
  readonly start: number
  readonly valueStart: number
  readonly end: number
}

/** White space at the beginning of the line; `undefined` when other things stand before it. */
function indentBefore(text: string, offset: number): string | undefined {
  const line = text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset)
  return text.lastIndexOf('\n', offset - 1) >= 0 && /^[ \t]*$/.test(line) ? line : undefined
}

function formatValue(value: unknown, indent: string | undefined, newline: string): string {
  if (indent === undefined) return JSON.stringify(value)
  return JSON.stringify(value, null, indent === '' ? '  ' : indent).replaceAll('\n', `${newline}${indent}`)
}

const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g

function findMembers(text: string): Member[] {
  const members: Member[] = []
  let depth = 0
  let key: { text: string; start: number } | undefined
  let valueStart: number | undefined
  let end = 0
  const close = () => {
    if (key !== undefined && valueStart !== undefined)
      members.push({ key: key.text, start: key.start, valueStart, end })
    key = undefined
    valueStart = undefined
  }
  for (const { 0: word, index } of text.matchAll(token)) {
    const isClosing = word === '}' || word === ']'
    if (isClosing) depth--
    if (depth === 0 && isClosing) close()
    else if (depth === 1 && word === ',') close()
    else if (depth === 1 && key === undefined && word.startsWith('"')) key = { text: JSON.parse(word), start: index }
    else if (depth === 1 && word === ':' && valueStart === undefined) valueStart = Number.NaN
    else if (depth >= 1) {
      if (Number.isNaN(valueStart)) valueStart = index
      end = index + word.length
    }
    if (word === '{' || word === '[') depth++
  }
  return members
}
