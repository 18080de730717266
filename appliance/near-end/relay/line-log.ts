/** The relay's log: one line of text for each event, for a terminal or systemd's journal. */
import type { Log } from '../../../src/index.ts'
import type { Machine } from '../../machine.ts'
import { printable } from '../../terminal/format.ts'

const priorities = { debug: 7, info: 6, warn: 4, error: 3 } as const

export function createLineLog({ stderr }: Machine, isVerbose: boolean): Log {
  const write = (level: keyof typeof priorities) => (fields: object, message: string) => {
    const priority = stderr.isJournal === true ? `<${priorities[level]}>` : ''
    stderr.write(`${priority}${printable(`${message}${formatFields(fields)}`, 1000)}\n`)
  }
  return {
    debug: isVerbose ? write('debug') : () => {},
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  }
}

/** ` (reason; name: value, …)` */
function formatFields(fields: object): string {
  const { reason, err, ...others } = fields as { reason?: unknown; err?: unknown }
  const parts = Object.entries(others).map(([name, value]) => `${name}: ${String(value)}`)
  const cause = reason ?? (err instanceof Error ? err.message : undefined)
  const all = [...(cause === undefined ? [] : [String(cause)]), ...parts]
  return all.length === 0 ? '' : ` (${all.join(', ')})`
}
