/** A log that a test reads: one line per message, `level message`. */
import type { Log } from '../../src/log.ts'

export interface RecordedLog extends Log {
  readonly lines: string[]
  /** Lines of at least level info. */
  loud(): string[]
}

export function recordLog(): RecordedLog {
  const lines: string[] = []
  const at = (level: string) => (_fields: object, message: string) => void lines.push(`${level} ${message}`)
  return {
    lines,
    loud: () => lines.filter((line) => !line.startsWith('debug')),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  }
}
