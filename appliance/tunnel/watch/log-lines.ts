/**
 * What cloudflared writes: JSON objects, one a line, on standard error; from an old one, or before its flags are read,
 * lines for people; bare text when it gives up.
 *   {"connIndex":0,"error":"connection with edge closed","event":0,"ip":"198.51.100.1","level":"error","message":"Serve
 * tunnel error","time":"2026-11-22T16:53:24Z"}
 *   2026-11-22T16:53:24Z ERR Serve tunnel error error="connection with edge closed" connIndex=0 event=0 ip=198.51.100.1
 * Source: cloudflared's logger/create.go (zerolog).
 */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface ConnectorLine {
  readonly level: LogLevel
  /** Empty in some lines about requests. */
  readonly message: string
  /** The field `error`, or empty. */
  readonly error: string
  /** All others. */
  readonly fields: Readonly<Record<string, unknown>>
  /** Neither form: the last words of a connector that gives up, Go's runtime, the usage text. */
  readonly isBare: boolean
}

const levelByName: Readonly<Record<string, LogLevel>> = {
  trace: 'debug',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  fatal: 'error',
  panic: 'error',
  TRC: 'debug',
  DBG: 'debug',
  INF: 'info',
  WRN: 'warn',
  ERR: 'error',
  FTL: 'error',
  PNC: 'error',
}

const consoleLine = /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) (TRC|DBG|INF|WRN|ERR|FTL|PNC) (.*)$/s
const consoleField = /\s([A-Za-z]\w*)=("(?:[^"\\]|\\.)*"|\S*)/g

/** Total: what is in neither form is a bare line. */
export function parseLine(text: string): ConnectorLine {
  return (
    (text.startsWith('{') ? parseJsonLine(text) : parseConsoleLine(text)) ?? {
      level: 'warn',
      message: text,
      error: '',
      fields: {},
      isBare: true,
    }
  )
}

function parseJsonLine(text: string): ConnectorLine | undefined {
  let record: unknown
  try {
    record = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof record !== 'object' || record === null || !('level' in record)) return undefined
  const { level, message, time: _, error, ...fields } = record as Readonly<Record<string, unknown>>
  return {
    level: levelByName[String(level)] ?? 'info',
    message: toText(message),
    error: toText(error),
    fields,
    isBare: false,
  }
}

function parseConsoleLine(text: string): ConnectorLine | undefined {
  const [, level, rest] = consoleLine.exec(text) ?? []
  if (level === undefined || rest === undefined) return undefined
  const fields: Record<string, string> = {}
  let error = ''
  let messageEnd = rest.length
  // With a space before it, so that a field may be first: there are lines without a message.
  for (const match of ` ${rest}`.matchAll(consoleField)) {
    const [, name = '', value = ''] = match
    messageEnd = Math.min(messageEnd, Math.max(0, match.index - 1))
    if (name === 'error') error = unquote(value)
    else fields[name] = unquote(value)
  }
  return { level: levelByName[level] ?? 'info', message: rest.slice(0, messageEnd), error, fields, isBare: false }
}

function unquote(value: string): string {
  if (!value.startsWith('"')) return value
  try {
    return String(JSON.parse(value))
  } catch {
    return value.slice(1, -1)
  }
}

function toText(value: unknown): string {
  return value === undefined || value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value)
}
