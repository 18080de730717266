/** The page at `/`: how the cache is, how to use it, and what is new. */
import type { StoreObject } from '../../store/store.ts'
import type { SiteStatus } from '../site-status.ts'
import { judge } from './health.ts'
import { type Html, html } from './html.ts'
import { emptyState, pill } from './parts.ts'
import { pathLink, registered, size } from './path-list.ts'
import { searchForm } from './search-page.ts'
import { type SetupFacts, setupTabs } from './setup.ts'

export interface Overview {
  readonly setup: SetupFacts
  readonly status: SiteStatus
  /** The newest paths. */
  readonly latest: readonly StoreObject[]
  /** False while the stores are read for the first time. */
  readonly isComplete: boolean
}

export function renderOverview({ setup, status, latest, isComplete }: Overview): Html {
  const { tone, title, details } = judge(status)
  return html`<div class="sections">
<div class="stack">
<h1>Nix binary cache</h1>
<p class="lead">${pill(title, tone)} <span class="muted">${details} <a href="/status">Status</a></span></p>
${searchForm('', false)}
</div>
<div class="split">
<section class="stack" aria-labelledby="use">
<h2 id="use">Use this cache</h2>
${setupTabs(setup)}
</section>
<section class="stack" aria-labelledby="new">
<h2 id="new">What is new</h2>
${latestPaths(latest, isComplete, status.now)}
</section>
</div>
</div>`
}

function latestPaths(latest: readonly StoreObject[], isComplete: boolean, now: Date): Html {
  if (latest.length === 0)
    return isComplete
      ? emptyState('Nothing yet', 'Build or push something, and it appears here.')
      : emptyState('The stores are being read', 'Reload this page in some seconds.')
  return html`<ol class="lines">
${latest.map(
  ({ info }) =>
    html`<li><span class="name">${pathLink(info.storePath)}</span> <span class="muted small">${size(info.narSize)}, ${registered(info, now)}</span></li>\n`,
)}</ol>
<p><a href="/search">All paths</a></p>`
}
