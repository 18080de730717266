/**
 * The status for people, one aligned line a subject:
 *
 *     tunnel    connected (4 connections) for 1 h (token)
 *     public    https://cache.example.org
 *     larder    5.0 GiB of 20.0 GiB in 1,234 files, 98 % of 1,000 NARs found there
 *
 * Whatever comes from elsewhere is made harmless first; what a stopped Burrow left behind is told in the same form.
 */
import { formatBytes, formatCount, formatRelative, formatSpan, printable } from '../terminal/format.ts'
import type { TunnelFacts } from '../tunnel/tunnel.ts'
import type { StatusReport, UserReport } from './status.ts'
import { storeLines } from './store-text.ts'
import { formatTunnelState } from './tunnel-states.ts'

type Line = readonly [subject: string, text: string]

/** More are counted. */
const maxUsers = 20

/** Ends with a line break. */
export function formatStatus(report: StatusReport): string {
  const { version, pid, startedAt, origin, publicUrl, publicKeys, config, stateDir } = report
  const now = Date.parse(report.now)
  const verb = origin.isDraining ? 'is stopping' : origin.impediment === null ? 'serves' : 'runs and cannot serve'
  return formatLines([
    ['burrow', `${printable(version)} ${verb}; started ${formatRelative(startedAt, now)}, pid ${pid}`],
    ...tunnelLines(report, now),
    ['public', publicUrl === null ? 'not known' : printable(publicUrl)],
    ['origin', `${printable(origin.url)}, ${formatCount(origin.requestsUnderWay, 'request')} under way`],
    ...(origin.impediment === null ? [] : [['', printable(origin.impediment)] as const]),
    ...(origin.answersAbsent
      ? [['', 'all paths are answered as absent (404) until the store can be read'] as const]
      : []),
    ...storeLines(report.storeDir, report.stores),
    ['larder', larderText(report)],
    ['users', usersText(report, now)],
    ...(publicKeys.length === 0
      ? [['keys', 'none: nothing is signed here'] as const]
      : publicKeys.map((key, index) => [index === 0 ? 'keys' : '', printable(key)] as const)),
    ['traffic', trafficText(report)],
    [
      'config',
      `${config === null ? 'none: the defaults are used' : printable(config)}; state in ${printable(stateDir)}`,
    ],
  ])
}

function tunnelLines({ tunnel }: StatusReport, now: number): Line[] {
  const { state, since, mode, reason, remedy, restarts, lastConnected, nextAttempt, lastError } = tunnel
  if (state === 'off') return [['tunnel', `off: ${printable(reason)}`], ...noteOf(remedy)]
  const isUp = state === 'connected'
  const binary =
    tunnel.binary === null ? '' : `, cloudflared ${printable(tunnel.binary.version ?? 'of unknown version')}`
  const lines: Line[] = [
    [
      'tunnel',
      `${printable(formatTunnelState(tunnel))} for ${formatSpan(now - Date.parse(since))} (${printable(mode ?? 'no mode')}${binary})`,
    ],
  ]
  if (!isUp) lines.push(['', printable(reason)], ...noteOf(remedy))
  if (!isUp && lastError !== null && !reason.includes(lastError))
    lines.push(['', `last error: ${printable(lastError)}`])
  const history = [
    ...(restarts === 0 ? [] : [formatCount(restarts, 'restart')]),
    ...(isUp
      ? []
      : [
          lastConnected === null
            ? 'not connected since the start'
            : `last connected ${formatRelative(lastConnected, now)}`,
        ]),
    ...(nextAttempt === null ? [] : [`next attempt ${formatRelative(nextAttempt, now)}`]),
  ]
  return history.length === 0 ? lines : [...lines, ['', history.join(', ')]]
}

function noteOf(remedy: string | null): Line[] {
  return remedy === null ? [] : [['', `to do: ${printable(remedy)}`]]
}

function larderText({ larder }: StatusReport): string {
  if (larder === null) return 'none: nothing is kept'
  const { bytes, maxBytes, files, hits, fills, fillsUnderWay, deltas, unwritable } = larder
  const asked = hits + fills
  const parts = [`${formatBytes(bytes)} of ${formatBytes(maxBytes)} in ${formatCount(files, 'file')}`]
  if (asked > 0) parts.push(`${Math.floor((100 * hits) / asked)} % of ${formatCount(asked, 'NAR')} found there`)
  if (fillsUnderWay > 0) parts.push(`${formatCount(fillsUnderWay, 'compression')} under way`)
  if (deltas.sent > 0) parts.push(`${formatCount(deltas.sent, 'delta')} sent, ${formatBytes(deltas.savedBytes)} saved`)
  if (unwritable) parts.push(`nothing can be kept: ${printable(unwritable)}`)
  return parts.join(', ')
}

function usersText({ users, openInvitations }: StatusReport, now: number): string {
  if (users === null) return 'everybody may pull: the cache is public'
  if (users.length === 0) return 'none, so everybody is refused: add one with "burrow user add NAME"'
  const shown = users.slice(0, maxUsers).map((user) => userText(user, now))
  const invited = openInvitations === 0 ? [] : [formatCount(openInvitations, 'open invitation')]
  const more = users.length > maxUsers ? [`and ${formatCount(users.length - maxUsers)} more`] : []
  return [...shown, ...more, ...invited].join(', ')
}

function userText({ name, access, expires, isExpired, source }: UserReport, now: number): string {
  const rights = access.map((right) => printable(right, 20)).join(' ')
  const end =
    expires === null
      ? ''
      : isExpired
        ? `; EXPIRED ${formatRelative(expires, now)}`
        : `; expires ${formatRelative(expires, now)}`
  return `${printable(name, 60)} (${rights}; ${printable(source, 20)}${end})`
}

function trafficText({ traffic }: StatusReport): string {
  const { requests, bytes, pushedPaths, receivedBytes, transfersUnderWay, failedLogins } = traffic
  const parts = [
    formatCount(requests, 'request'),
    `${formatBytes(bytes)} sent`,
    `${formatCount(transfersUnderWay, 'NAR')} on the way`,
  ]
  if (receivedBytes > 0)
    parts.push(`${formatBytes(receivedBytes)} and ${formatCount(pushedPaths, 'new path')} received`)
  return [...parts, formatCount(failedLogins, 'failed login')].join(', ')
}

/** What is known of a Burrow that does not run. */
export interface StoppedReport {
  readonly running: false | null
  readonly address: string | null
  readonly why: string
  readonly remedy: string
  readonly config: string | null
  readonly listen: string
  readonly stateDir: string
  /** null: none is configured. */
  readonly tunnel: ({ readonly mode: string } & TunnelFacts) | null
}

/** Without a line break at the end. */
export function formatStopped(
  { running, address, why, remedy, config, listen, stateDir, tunnel }: StoppedReport,
  now: number,
): string {
  const at = address === null ? '' : ` (asked "${printable(address)}")`
  const head = `${running === false ? 'Burrow is not running' : 'Cannot find out whether Burrow is running'}: ${why}${at}; ${remedy}`
  const last =
    tunnel?.lastConnected === undefined ? '' : `, last connected ${formatRelative(tunnel.lastConnected, now)}`
  const name =
    tunnel?.hostname === undefined
      ? ''
      : `, ${tunnel.mode === 'quick' ? 'was last ' : ''}https://${printable(tunnel.hostname)}`
  return `${head}\n${formatLines([
    ['config', config === null ? 'none: the defaults are used' : printable(config)],
    ['listen', printable(listen)],
    ['tunnel', tunnel === null ? 'none' : `${printable(tunnel.mode)}${name}${last}`],
    ['state', printable(stateDir)],
  ]).trimEnd()}`
}

function formatLines(lines: readonly Line[]): string {
  return lines.map(([subject, text]) => `${subject.padEnd(8)}  ${text}\n`).join('')
}
