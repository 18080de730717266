/** A line of the log for people: `14:03:07.218 WARN  Cannot read store database  reason="it does not exist"`. */

const colours: Readonly<Record<string, string>> = {
  trace: '90',
  debug: '90',
  info: '32',
  warn: '33',
  error: '31',
  fatal: '41',
}

/** `line` is a JSON line of the log; anything else is returned as it is. Ends with a line break. */
export function formatLogLine(line: string, { isColoured }: { readonly isColoured: boolean }): string {
  const record = parseRecord(line)
  if (record === undefined) return line.endsWith('\n') ? line : `${line}\n`
  const { time, level, msg, err, ...fields } = record
  const paint = (code: string, text: string) => (isColoured ? `\u001b[${code}m${text}\u001b[0m` : text)
  const label = String(level)
  const parts = [
    paint('90', clockTime(time)),
    paint(colours[label] ?? '0', label.toUpperCase().padEnd(5)),
    printable(String(msg ?? '')),
  ]
  const details = Object.entries(fields).map(([key, value]) => `${paint('36', key)}=${formatValue(value)}`)
  return `${parts.join(' ')}${details.length === 0 ? '' : `  ${details.join(' ')}`}${formatError(err)}\n`
}

function parseRecord(line: string): Record<string, unknown> | undefined {
  try {
    const record: unknown = JSON.parse(line)
    return typeof record === 'object' && record !== null ? (record as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function clockTime(time: unknown): string {
  const date = new Date(String(time))
  if (Number.isNaN(date.getTime())) return '--:--:--.---'
  const two = (value: number) => String(value).padStart(2, '0')
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`
}

function formatValue(value: unknown): string {
  if (typeof value === 'string' && /^[\w./:@+-]+$/.test(value)) return value
  return printable(JSON.stringify(value) ?? 'undefined')
}

/** Text from clients must not control the terminal: escapes C0, C1, line separators, bidi and other invisible format characters. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => escapeCodePoint(character.codePointAt(0)!))
}

/** As in JavaScript source: `\u202e`, above the BMP `\u{e0001}`. */
function escapeCodePoint(codePoint: number): string {
  const hex = codePoint.toString(16)
  return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, '0')}`
}

function formatError(error: unknown): string {
  if (typeof error !== 'object' || error === null) return ''
  const { stack, message } = error as { stack?: unknown; message?: unknown }
  const text = typeof stack === 'string' ? stack : String(message ?? '')
  return text === ''
    ? ''
    : `\n${text
        .split('\n')
        .map((line) => `    ${printable(line)}`)
        .join('\n')}`
}
