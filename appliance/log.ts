/**
 * The log: pino, as JSON lines or for people to read, on standard error. Standard output is for what a command was asked for.
 * Secrets are taken out by name, as a second line of defence: nothing is meant to hand them to the log at all.
 */
import type { Writable } from 'node:stream'
import { type Logger, pino } from 'pino'

import type { Config } from './config/config.ts'
import { formatLogLine } from './log-line.ts'
import type { TerminalOutput } from './machine.ts'

const secretNames = ['password', 'passwordHash', 'authorization', 'Authorization', 'proxy-authorization', 'cookie', 'secret', 'secretKey', 'token']

export function createLog({ level, format }: Pick<Config['log'], 'level' | 'format'>, output: TerminalOutput): Logger {
  const isPretty = format === 'pretty' || (format === 'auto' && output.isTTY === true)
  const redact = { paths: ['', '*.', '*.*.', '*.*.*.'].flatMap((prefix) => secretNames.map((name) => redactPath(prefix, name))), censor: '[secret]' }
  // Neither pid nor host name: the journal adds both.
  const options = { level, redact, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label: string) => ({ level: label }) } }
  return pino(options, isPretty ? prettyStream(output) : output)
}

function redactPath(prefix: string, name: string): string {
  return /^\w+$/.test(name) ? prefix + name : `${prefix.replace(/\.$/, '')}["${name}"]`
}

function prettyStream(output: Writable & { readonly isTTY?: boolean }): { write(line: string): void } {
  return { write: (line) => void output.write(formatLogLine(line, { isColoured: output.isTTY === true })) }
}
