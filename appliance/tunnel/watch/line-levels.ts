/** How loud a line of cloudflared's is in our log: by who must act, which is not always what cloudflared says. */
import type { ConnectorLine, LogLevel } from './log-lines.ts'

const order: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

/**
 * Messages of every start; some of it looks like a fault (ICMP is for private networks, which an origin
 * for HTTP has nothing to do with).
 */
const startUpTalk = new RegExp(
  [
    'Cannot determine default configuration path',
    'Settings: ',
    'Environmental variables ',
    'Version ',
    'GOOS: ',
    'Generated Connector ID',
    'Initial protocol ',
    'Starting metrics server',
    'Tunnel connection curve preferences',
    'ICMP proxy ',
    'The user running cloudflared process has a GID',
    'No ingress rules were defined',
    'Autoupdate frequency is set',
  ]
    .map((words) => `^${words}`)
    .join('|'),
)
/** Repeated by another line, with its connection or its origin. */
const echo = /^(?:failed to serve incoming request|Error shutting down control stream)/
/**
 * Go's own log, of HTTP/2: `2026/11/22 16:37:03 http2: received GOAWAY [FrameHeader GOAWAY len=8], starting graceful
 * shutdown`.
 */
const goodbye = /^\d{4}\/\d\d\/\d\d [\d:.]+ http2: received GOAWAY/
/** What follows a line about DNS, one line each; our own remedy is shown with the state. */
const hint = /^(?:Please try the following things to diagnose| {2,}\S)/
/** A client disconnected: not an error. */
const abandoned = /context canceled/

export interface Circumstances {
  /** We asked it to stop: messages about ending connections are not errors. */
  readonly isStopping: boolean
  readonly connections: number
}

export function levelOf(
  { level, message, error, isBare, fields }: ConnectorLine,
  { isStopping, connections }: Circumstances,
): LogLevel {
  if (startUpTalk.test(message) || hint.test(message) || abandoned.test(error)) return 'debug'
  if (isBare && goodbye.test(message)) return 'debug'
  if (isBare) return isStopping ? 'debug' : 'warn'
  // An unresponsive origin is reported during a stop as well: active requests still need it.
  if (isStopping && fields.originService === undefined) return level === 'error' || level === 'warn' ? 'debug' : level
  if (connections > 0 && fields.connIndex === undefined && echo.test(message)) return 'debug'
  if (level === 'error' && connections > 0 && isOfConnection(message, fields)) return 'warn'
  return level
}

/** One lost connection out of several is a warning; the rest goes on serving. */
function isOfConnection(message: string, fields: ConnectorLine['fields']): boolean {
  return (
    fields.connIndex !== undefined &&
    fields.originService === undefined &&
    message !== '' &&
    message !== 'Request failed'
  )
}

export function isAtLeast(level: LogLevel, least: LogLevel): boolean {
  return order[level] >= order[least]
}
