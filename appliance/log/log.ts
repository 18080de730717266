/**
 * The log: pino, as JSON lines or for people to read, on standard error. Standard output is for what a command was
 * asked for. Secrets are taken out by name, as a second line of defence: nothing is meant to hand them to the log at
 * all.
 */
import type { Writable } from 'node:stream'
import { type Logger, pino } from 'pino'

import type { Config } from '../config/config.ts'
import type { TerminalOutput } from '../machine.ts'
import { formatLogLine } from './log-line.ts'

const secretNames = [
  'password',
  'passwordHash',
  'authorization',
  'Authorization',
  'proxy-authorization',
  'cookie',
  'secret',
  'secretKey',
  'token',
]

export function createLog({ level, format }: Pick<Config['log'], 'level' | 'format'>, output: TerminalOutput): Logger {
  const isPretty = format === 'pretty' || (format === 'auto' && output.isTTY === true)
  const redact = {
    paths: ['', '*.', '*.*.', '*.*.*.'].flatMap((prefix) => secretNames.map((name) => redactPath(prefix, name))),
    censor: '[secret]',
  }
  // Neither pid nor host name: the journal adds both.
  const options = {
    level,
    redact,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  const toText = isPretty
    ? (line: string) => formatLogLine(line, { isColoured: output.isTTY === true })
    : (line: string) => line
  if (output.isJournal === true) return pino(options, journalStream(output, toText))
  return pino(options, isPretty ? { write: (line: string) => void output.write(toText(line)) } : output)
}

function redactPath(prefix: string, name: string): string {
  return /^\w+$/.test(name) ? prefix + name : `${prefix.replace(/\.$/, '')}["${name}"]`
}

/**
 * sd-daemon(3): of each line, so that `journalctl -p err` finds it. pino passes the level of a line by `lastLevel` to a
 * stream that asks for it.
 */
function journalStream(output: Writable, toText: (line: string) => string) {
  return {
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 30,
    write(line: string) {
      const priority = priorities.find(([level]) => this.lastLevel >= level)?.[1] ?? 7
      output.write(toText(line).replaceAll(/^(?=.)/gm, `<${priority}>`))
    },
  }
}

/** From pino's levels to syslog's. */
const priorities: readonly [number, number][] = [
  [60, 2],
  [50, 3],
  [40, 4],
  [30, 6],
]
