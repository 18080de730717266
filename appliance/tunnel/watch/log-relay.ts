/**
 * A connector's lines on their way into our log: read, redacted, given our levels, bounded in number; and what is news
 * among them told, however many are left out. A connector that cannot reach one address writes 14,000 lines a second,
 * and one whose pipe is full stops carrying requests: so every line is taken, and few cost anything.
 */
import type { Log } from '../../../src/index.ts'
import { decisive, findNews, type News } from '../explain/news.ts'
import type { TunnelClock } from '../tunnel-clock.ts'
import { createAllowance } from './allowance.ts'
import { type Circumstances, isAtLeast, levelOf } from './line-levels.ts'
import { createLineRepair } from './line-repair.ts'
import { type ConnectorLine, type LogLevel, parseLine } from './log-lines.ts'
import { createRedactor, isCredentialName, type Redactor } from './redact.ts'

/**
 * A start takes about 30 lines, a bad day a few a second; 20 a second for ever is half a gigabyte a day of journal, and
 * enough.
 */
const ordinary = { burst: 300, perSecond: 20 }
/** cloudflared at level debug writes several lines for each request. */
const talkative = { burst: 2_000, perSecond: 500 }
/** Lines with news are read beyond that, and these are bounded too. */
const newsworthy = { burst: 200, perSecond: 100 }
const leftOutEveryMs = 1_000
const maxValueLength = 2_000
const maxFields = 24

export interface LogRelay {
  /** The bytes are only good during the call. */
  take(line: Buffer, pipe: 'stdout' | 'stderr'): void
  /** Logs the number of dropped lines and cancels the timer. */
  end(): void
}

export interface LogRelayParts {
  readonly log: Log
  readonly clock: TunnelClock
  /** The least that is logged. */
  readonly logLevel: LogLevel
  readonly secrets: readonly string[]
  readonly pid: () => number | undefined
  readonly circumstances: () => Circumstances
  /** What it says is redacted. */
  onNews(news: News): void
  /** Each line of neither form, redacted. */
  onBareLine(text: string, pipe: 'stdout' | 'stderr'): void
  /** What it complains of, redacted: `Serve tunnel error: connection with edge closed`. */
  onError(text: string): void
}

export function createLogRelay(parts: LogRelayParts): LogRelay {
  const { log, clock, logLevel, circumstances } = parts
  const redact = createRedactor(parts.secrets)
  const mayLog = createAllowance(logLevel === 'debug' ? talkative : ordinary, clock.now)
  const mayRead = createAllowance(newsworthy, clock.now)
  const repair = createLineRepair()
  let leftOut = 0
  let cancelTimer: (() => void) | undefined

  function logDropped(): void {
    cancelTimer?.()
    cancelTimer = undefined
    if (leftOut > 0)
      log.warn(
        { connector: { pid: parts.pid(), lines: leftOut } },
        'cloudflared writes more than fits in the log: some of its lines are left out',
      )
    leftOut = 0
  }

  function leaveOut(): void {
    leftOut += 1
    cancelTimer ??= clock.after(leftOutEveryMs, logDropped)
  }

  function passNews(line: ConnectorLine): void {
    const news = findNews(line)
    if (news !== undefined) parts.onNews(news)
  }

  return {
    take(bytes, pipe) {
      if (!mayLog()) {
        leaveOut()
        // Latin-1: no decoding, and what is looked for is ASCII.
        if (!decisive.test(bytes.toString('latin1')) || !mayRead()) return
        for (const text of createLineRepair().add(bytes.toString().trimEnd()))
          passNews(redactLine(parseLine(text), redact))
        return
      }
      const text = bytes.toString().trimEnd()
      if (text === '') return
      for (const whole of pipe === 'stdout' ? [text] : repair.add(text)) relay(whole, pipe)
    },
    end() {
      for (const text of repair.end()) relay(text, 'stderr')
      logDropped()
    },
  }

  function relay(text: string, pipe: 'stdout' | 'stderr'): void {
    const line = redactLine(parseLine(text), redact)
    const level = pipe === 'stdout' ? 'debug' : levelOf(line, circumstances())
    // First the news, so that a listener sees the state that the log is about to speak of.
    if (pipe === 'stderr') passNews(line)
    if (line.isBare) parts.onBareLine(line.message, pipe)
    else if (line.error !== '' && isAtLeast(level, 'warn'))
      parts.onError(line.message === '' ? line.error : `${line.message}: ${line.error}`)
    if (isAtLeast(level, logLevel))
      log[level](
        { connector: { pid: parts.pid(), ...fieldsOf(line) } },
        cut(line.message === '' ? line.error : line.message),
      )
  }
}

function redactLine(line: ConnectorLine, redact: Redactor): ConnectorLine {
  const fields: Record<string, unknown> = Object.create(null)
  for (const [name, value] of Object.entries(line.fields).slice(0, maxFields))
    fields[cut(redact(name))] = isCredentialName(name) ? '[secret]' : redactValue(value, redact)
  return { ...line, message: redact(line.message), error: redact(line.error), fields }
}

/** Numbers and claims as they are, all else as text. */
function redactValue(value: unknown, redact: Redactor): unknown {
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value
  return redact(typeof value === 'string' ? value : JSON.stringify(value))
}

function fieldsOf({ fields, error, message }: ConnectorLine): Record<string, unknown> {
  const told = Object.entries(fields).map(
    ([name, value]) => [name, typeof value === 'string' ? cut(value) : value] as const,
  )
  return { ...Object.fromEntries(told), ...(error !== '' && message !== '' ? { error: cut(error) } : {}) }
}

function cut(text: string): string {
  return text.length > maxValueLength ? `${text.slice(0, maxValueLength)}…` : text
}
