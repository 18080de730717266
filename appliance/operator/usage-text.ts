/** Usage figures in a terminal. */
import { nameOf, type UsageSummary } from '../../src/index.ts'
import { formatBytes, formatCount, formatSpan, formatTable, formatTime, printable } from '../terminal/format.ts'

const maxRows = 20
const maxNameLength = 60
const dayMs = 86_400_000

type List = readonly [title: string, head: readonly string[], rows: readonly (readonly string[])[]]

/** `user`: whose figures these are; undefined for all. */
export function formatUsage(summary: UsageSummary, user: string | undefined): string {
  const { from, to, total, days, users, paths, missed, slowest, drops } = summary
  const whose = user === undefined ? 'all users' : userText(user)
  const lists: List[] = [
    [
      'By day',
      ['day', 'requests', 'sent', 'downloads'],
      days
        .filter(({ requests }) => requests > 0)
        .toReversed()
        .map((day) => [day.day, formatCount(day.requests), formatBytes(day.bytes), formatCount(day.downloads)]),
    ],
    [
      'By user',
      ['user', 'requests', 'sent', 'downloads', 'pushed', 'last seen'],
      user === undefined
        ? users.map((one) => [
            userText(one.user),
            formatCount(one.requests),
            formatBytes(one.bytes),
            formatCount(one.downloads),
            one.receivedBytes === 0
              ? '-'
              : `${formatBytes(one.receivedBytes)} in ${formatCount(one.pushedPaths, 'path')}`,
            ago(one.lastAt, to),
          ])
        : [],
    ],
    [
      'Most sent',
      ['path', 'sent', 'downloads', 'users', 'last'],
      paths.map((path) => [
        nameText(nameOf(path.storePath)),
        formatBytes(path.bytes),
        formatCount(path.downloads),
        formatCount(path.users),
        path.lastAt === undefined ? '-' : ago(path.lastAt, to),
      ]),
    ],
    [
      'Asked for and not here',
      ['hash part', 'name', 'requests', 'users', 'last'],
      missed.map((one) => [
        one.hashPart,
        one.name === undefined ? '(unknown)' : nameText(one.name),
        formatCount(one.asks),
        formatCount(one.users),
        ago(one.lastAt, to),
      ]),
    ],
    [
      'Slowest transfers',
      ['path', 'user', 'size', 'speed', 'when'],
      slowest.map((one) => [
        nameText(nameOf(one.storePath)),
        userText(one.user),
        formatBytes(one.bytes),
        `${formatBytes(Math.round((one.bytes / one.durationMs) * 1000))}/s${one.isComplete ? '' : ', interrupted'}`,
        ago(one.at, to),
      ]),
    ],
    [
      'The tunnel was not connected',
      ['from', 'for', 'reason'],
      drops.map((drop) => [
        formatTime(new Date(drop.from)),
        drop.until === undefined ? '?' : formatSpan(drop.until - drop.from),
        printable(drop.reason, 100),
      ]),
    ],
  ]
  const title = `Usage of ${whose}, ${dateOf(from)} to ${dateOf(to)} (UTC)\n\n`
  return title + formatTotal(total, to - from, user) + lists.map(formatList).join('')
}

function formatTotal(total: UsageSummary['total'], ms: number, user: string | undefined): string {
  if (total.requests === 0) {
    const days = formatCount(Math.max(1, Math.ceil(ms / dayMs)), 'day')
    // Users who were removed have figures too, so any name is right.
    const hint = user === undefined ? '' : ' "burrow user list" shows the users.'
    return `No requests in ${days}. Requests with a wrong password are not counted.${hint}\n`
  }
  const saved = [
    total.compressionSaved > 0 && `${formatBytes(total.compressionSaved)} by compression`,
    total.deltaSaved > 0 && `${formatBytes(total.deltaSaved)} by deltas`,
  ].filter((part) => part !== false)
  const lines = [
    `${formatCount(total.requests, 'request')}, ${formatBytes(total.bytes)} sent, ${formatCount(total.downloads, 'download')}${total.cut > 0 ? ` (${formatCount(total.cut, 'interruption')})` : ''}`,
    saved.length > 0 && `saved: ${saved.join(', ')}`,
    total.upstreamBytes > 0 && `${formatBytes(total.upstreamBytes)} of it came from upstream caches`,
    total.receivedBytes + total.pushedPaths > 0 &&
      `${formatBytes(total.receivedBytes)} received in pushes of ${formatCount(total.pushedPaths, 'path')}`,
  ]
  return lines.map((line) => (line === false ? '' : `${line}\n`)).join('')
}

/** Nothing for a table without rows. */
function formatList([title, head, all]: List): string {
  if (all.length === 0) return ''
  const rows = all.slice(0, maxRows)
  const rest = all.length > rows.length ? `and ${formatCount(all.length - rows.length)} more: --json\n` : ''
  const lines = formatTable([head, ...rows]) + rest
  return `\n${title}\n${lines.replaceAll(/^(?=.)/gm, '  ')}`
}

const ago = (at: number, now: number) => `${formatSpan(now - at)} ago`
const dateOf = (at: number) => new Date(at).toISOString().slice(0, 10)
const nameText = (name: string) => printable(name, maxNameLength)
const userText = (user: string) => (user === '' ? '(no login)' : printable(user, maxNameLength))
