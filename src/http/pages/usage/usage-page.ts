/**
 * `/usage`: what was sent to whom, what was saved, and what was asked for and is not here. The same page for all users,
 * and for one.
 */
import { formatBytes, formatCount } from '../../../format.ts'
import type { UsageSummary } from '../../usage.ts'
import { bars } from '../charts/bars.ts'
import { columnsChart } from '../charts/columns.ts'
import { type Html, html } from '../html.ts'
import { emptyState, type Tile, table, tiles } from '../parts.ts'
import { byteColumns, requestColumns, seriesOf, shortDate, spansOf, stepOf, userText } from './days.ts'
import { type HasPage, missedSection, pathsSection, slowSection, tunnelSection, usersSection } from './lists.ts'

export interface UsagePageFacts {
  readonly summary: UsageSummary
  readonly days: number
  /** Days for which figures are kept. */
  readonly keepDays: number
  /** Whose figures these are; undefined: those of all. */
  readonly user: string | undefined
  /** May see the figures of all users. */
  readonly isAdmin: boolean
  readonly hasTunnel: boolean
  readonly hasPage: HasPage
}

export const periods: readonly number[] = [7, 30, 90, 400]

export function renderUsagePage(facts: UsagePageFacts): Html {
  const { summary, user } = facts
  const hasAny = summary.total.requests > 0 || summary.drops.length > 0
  return html`<div class="sections">
${heading(facts)}
${hasAny ? [tiles(tilesOf(summary)), traffic(summary), sectionsOf(facts)] : emptyState('No requests in this period', 'Requests are counted here a few seconds after they were answered. Requests with a wrong password are not counted.')}
<p class="muted small">Days are those of UTC. A download is a NAR that was received to its last byte, in one transfer or several. ${user === undefined && 'Requests with a wrong password are not counted.'}</p>
</div>`
}

function sectionsOf({ summary, user, days, isAdmin, hasTunnel, hasPage }: UsagePageFacts): Html[] {
  const isForAll = user === undefined
  return [
    html`<div class="split">${isForAll && usersSection(summary, days)}${saved(summary)}</div>\n`,
    pathsSection(summary, isForAll, hasPage),
    missedSection(summary, isForAll),
    slowSection(summary, isForAll, hasPage),
    ...(isForAll && isAdmin && (hasTunnel || summary.drops.length > 0) ? [tunnelSection(summary)] : []),
  ]
}

function heading({ summary, days, keepDays, user, isAdmin }: UsagePageFacts): Html {
  const { from, to } = summary
  const ofUser = isAdmin && user !== undefined ? `&user=${encodeURIComponent(user)}` : ''
  // Figures before the first one are zero, and a period longer than is kept would seem to have some.
  const shown = [...new Set(periods.map((period) => Math.min(period, keepDays)))]
  return html`<div class="stack">
<h1>${user === undefined ? 'Usage' : isAdmin ? `Usage of ${userText(user)}` : 'Your usage'}</h1>
<p class="muted">${shortDate(from, true)} to ${shortDate(to, true)}${isAdmin && user !== undefined && html` · <a href="/usage?days=${days}">Show all users</a>`}</p>
<nav aria-label="Period"><ul class="periods" role="list">${shown.map(
    (period) =>
      html`<li><a href="/usage?days=${period}${ofUser}"${period === days && html` aria-current="true"`}>${formatCount(period, 'day')}</a></li>`,
  )}</ul></nav>
</div>
`
}

function tilesOf({ total, missedAsks, drops }: UsageSummary): Tile[] {
  const saved = total.compressionSaved + total.deltaSaved
  return [
    {
      label: 'Sent',
      value: formatBytes(total.bytes),
      note: `in ${formatCount(total.requests, 'request')}`,
    },
    {
      label: 'Downloads',
      value: formatCount(total.downloads),
      note: total.cut === 0 ? 'none interrupted' : `${formatCount(total.cut, 'interruption')}`,
    },
    { label: 'Saved', value: formatBytes(saved), note: 'by compression and deltas' },
    ...(total.receivedBytes + total.pushedPaths > 0
      ? [{ label: 'Pushed', value: formatBytes(total.receivedBytes), note: formatCount(total.pushedPaths, 'new path') }]
      : []),
    { label: 'Not here', value: formatCount(missedAsks), note: 'requests for absent paths' },
    ...(drops.length > 0 ? [{ label: 'Tunnel lost', value: formatCount(drops.length), note: 'times' }] : []),
  ]
}

const firstColumn = { day: 'Day', week: 'Week from', month: 'Month' } as const

function traffic(summary: UsageSummary): Html {
  const spans = spansOf(summary)
  const { series } = seriesOf(summary)
  const per = stepOf(summary.days.length)
  const most = spans.reduce((best, span) => (span.bytes > best.bytes ? span : best), spans[0]!)
  const withRequests = spans.filter(({ requests }) => requests > 0).toReversed()
  return html`<section class="stack" aria-labelledby="traffic">
<h2 id="traffic">Traffic by ${per}</h2>
<p class="code-title">Bytes sent${series.length > 1 && ', by user'}</p>
${columnsChart({
  id: 'bytes',
  title: `Bytes sent by ${per}`,
  description: `${formatBytes(summary.total.bytes)} in all. Most: ${most.name}, ${formatBytes(most.bytes)}.`,
  unit: 'bytes',
  series: series.length === 0 ? [{ label: 'all', colour: 1 }] : series,
  columns: byteColumns(spans),
})}
<p class="code-title">Requests</p>
${columnsChart({
  id: 'requests',
  title: `Requests by ${per}`,
  description: `${formatCount(summary.total.requests, 'request')} in all.`,
  unit: 'count',
  series: [{ label: 'requests', colour: 5 }],
  columns: requestColumns(spans),
  isLow: true,
})}
<details><summary>As a table</summary>
${table(
  `Requests, downloads and bytes by ${per}`,
  [
    { label: firstColumn[per] },
    { label: 'Requests', isNumber: true },
    { label: 'Downloads', isNumber: true },
    { label: 'Sent', isNumber: true },
    ...(series.length > 1 ? series.map(({ label }) => ({ label, isNumber: true })) : []),
  ],
  withRequests.map(({ name, requests, downloads, bytes, shares }) => [
    name.replace('Week from ', ''),
    formatCount(requests),
    formatCount(downloads),
    formatBytes(bytes),
    ...(series.length > 1 ? shares.map((share) => (share === 0 ? '' : formatBytes(share))) : []),
  ]),
)}</details>
</section>
`
}

function saved({ total }: UsageSummary): Html {
  const rows = [
    { label: 'Sent', value: total.bytes, colour: 1 },
    { label: 'Not sent, because NARs are compressed', value: total.compressionSaved, colour: 3 },
    { label: 'Not sent, because of deltas', value: total.deltaSaved, colour: 4 },
    { label: 'Of what was sent, fetched from an upstream cache', value: total.upstreamBytes, colour: 5 },
  ] as const
  return html`<section class="stack" aria-labelledby="saved">
<h2 id="saved">Sent and saved</h2>
${bars(rows.map((row) => ({ ...row, text: formatBytes(row.value) })))}</section>
`
}
