/**
 * The page of the status: what `burrow status` says, without what only concerns the machine. Administrators also see
 * causes and remedies, which may name files and addresses.
 */
import { formatBytes, formatCount, formatSpan } from '../../format.ts'
import type { StoreHealth } from '../../store/health.ts'
import type { ServiceStatus, SiteStatus } from '../site-status.ts'
import { judge, nameOfStore } from './health.ts'
import { type Html, type HtmlValue, html } from './html.ts'
import { facts, pill, type Tile, tiles } from './parts.ts'
import { ago } from './path-list.ts'

export function renderStatusPage(status: SiteStatus, isAdmin: boolean): Html {
  return html`<div class="stack">
<h1>Status</h1>
<div id="live" class="sections" data-events="/status/events">
${renderStatus(status, isAdmin)}
</div>
</div>`
}

/** What events replace. */
export function renderStatus(status: SiteStatus, isAdmin: boolean): Html {
  const { tone, title, details } = judge(status)
  const { service, stores, larder, now } = status
  return html`<p class="note-box ${tone}"><strong>${title}.</strong> ${details}</p>
${tiles(figures(status))}
<section class="stack" aria-labelledby="parts"><h2 id="parts">Parts</h2>
${facts([
  ['Tunnel', service && tunnelText(service, now, isAdmin)],
  ...stores.map((store) => [capitalise(nameOfStore(store)), storeText(store, isAdmin)] as const),
  [
    'Larder',
    larder === undefined
      ? 'none: nothing is kept'
      : [
          `${formatBytes(larder.bytes)} of ${formatBytes(larder.maxBytes)} in ${formatCount(larder.files, 'file')}`,
          larder.fillsUnderWay > 0 && `, ${formatCount(larder.fillsUnderWay, 'compression')} under way`,
          larder.unwritable !== undefined && [
            html` ${pill('cannot keep files', 'warn')}`,
            isAdmin && html`<p class="small">${larder.unwritable}</p>`,
          ],
        ],
  ],
  ['Started', service && ago(service.startedAt, now)],
])}
</section>`
}

function figures({ service, larder, transfersUnderWay, transfersWaiting }: SiteStatus): Tile[] {
  const asked = larder === undefined ? 0 : larder.hits + larder.fills
  return [
    ...(service === undefined
      ? []
      : [
          { label: 'Sent', value: formatBytes(service.traffic.bytes), note: 'since the start' },
          { label: 'Requests', value: formatCount(service.traffic.requests), note: 'since the start' },
          {
            label: 'Received',
            value: formatBytes(service.traffic.receivedBytes),
            note: formatCount(service.traffic.pushedPaths, 'new path'),
          },
        ]),
    {
      label: 'Downloads under way',
      value: formatCount(transfersUnderWay),
      note: transfersWaiting === 0 ? 'none waits' : `${formatCount(transfersWaiting)} wait`,
    },
    ...(larder !== undefined && asked > 0
      ? [
          {
            label: 'Found in the larder',
            value: `${Math.floor((100 * larder.hits) / asked)} %`,
            note: `of ${formatCount(asked, 'NAR')}`,
          },
        ]
      : []),
    ...(larder !== undefined && larder.deltas.sent > 0
      ? [
          {
            label: 'Saved by deltas',
            value: formatBytes(larder.deltas.savedBytes),
            note: formatCount(larder.deltas.sent, 'delta'),
          },
        ]
      : []),
  ]
}

function tunnelText({ tunnel }: ServiceStatus, now: Date, isAdmin: boolean): HtmlValue {
  if (tunnel === undefined) return 'none'
  const tone = { ok: 'good', warn: 'warn', fail: 'bad' } as const
  const isUp = tunnel.grade === 'ok'
  return [
    html`${pill(tunnel.state, tone[tunnel.grade])} for ${formatSpan(now.getTime() - tunnel.since.getTime())}`,
    tunnel.restarts > 0 && `, ${formatCount(tunnel.restarts, 'restart')}`,
    !isUp && tunnel.lastConnected !== undefined && html`, last connected ${ago(tunnel.lastConnected, now)}`,
    !isUp && isAdmin && html`<p class="small">${tunnel.reason}</p>`,
    isAdmin && tunnel.remedy !== undefined && html`<p class="small">To do: ${tunnel.remedy}</p>`,
  ]
}

function storeText(store: StoreHealth, isAdmin: boolean): HtmlValue {
  const { isReadable, type, depot, withdrawn, leases, problem, location } = store
  const state = type === 'upstream' ? ['answers', 'does not answer'] : ['readable', 'not readable']
  return [
    pill(isReadable ? state[0]! : state[1]!, isReadable ? 'good' : type === 'upstream' ? 'warn' : 'bad'),
    depot &&
      ` ${formatBytes(depot.usedBytes)} of ${formatBytes(depot.maxBytes)} in ${formatCount(depot.objects, 'path')}, ${formatCount(depot.pins, 'pin')}`,
    withdrawn.now > 0 && ` ${formatCount(withdrawn.now, 'path')} out of service`,
    leases?.active === false && ' without protection from garbage collection',
    isAdmin && html`<p class="small muted"><code>${location}</code></p>`,
    isAdmin && problem !== undefined && html`<p class="small">${problem}</p>`,
  ]
}

const capitalise = (text: string) => text.replace(/^(?:the )?./, (start) => start.slice(-1).toUpperCase())
