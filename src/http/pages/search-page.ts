/**
 * The search for names of paths. The script sends the form while one types and replaces the results; without it, the
 * form is sent as any other.
 */
import { formatCount } from '../../format.ts'
import type { NamePage } from '../names/name-index.ts'
import { type Html, html } from './html.ts'
import { emptyState, table } from './parts.ts'
import { pathLink, registered, size } from './path-list.ts'

export interface SearchFacts {
  /** As it was entered. */
  readonly query: string
  readonly page: NamePage
  /** Names in the index. */
  readonly names: number
  /** False while the stores are read for the first time. */
  readonly isComplete: boolean
  /** True on a further page. */
  readonly isFurther: boolean
  readonly now: Date
}

export function renderSearchPage(facts: SearchFacts): Html {
  return html`<div class="stack">
<h1>Search</h1>
${searchForm(facts.query, true)}
<div id="results" class="stack">
${renderResults(facts)}
</div>
</div>`
}

/** `isLive`: the results are on the same page. */
export function searchForm(query: string, isLive: boolean): Html {
  return html`<form class="row search" action="/search" role="search"${isLive && html` data-results="results"`}>
<input class="grow" type="search" name="q" value="${query}" maxlength="200" aria-label="Name or hash of a store path" placeholder="Name or hash, for example hello-2.12" autocomplete="off" autocapitalize="off" spellcheck="false">
<button class="button primary">Search</button>
</form>`
}

/** What the script replaces. */
export function renderResults({ query, page, names, isComplete, isFurther, now }: SearchFacts): Html {
  const { objects, next } = page
  const notice =
    !isComplete &&
    html`<p class="note-box warn">The stores are still being read: ${formatCount(names, 'path')} so far.</p>\n`
  if (objects.length === 0)
    return html`${notice}${
      query === ''
        ? emptyState('There are no paths yet', 'Build or push something, and it appears here.')
        : emptyState('Nothing has this name', 'Each word must occur in the name. Try fewer or shorter words.')
    }`
  const title = query === '' ? 'All paths, the newest first' : `Paths with “${query}”, the newest first`
  return html`${notice}${table(
    title,
    [{ label: 'Name' }, { label: 'Size', isNumber: true }, { label: 'Added', isNumber: true }],
    objects.map(({ info }) => [pathLink(info.storePath), size(info.narSize), registered(info, now)]),
  )}
<p class="row">${isFurther && html`<a class="button" href="/search?${queryText(query)}">Newest</a>`}${next !== undefined && html`<a class="button" rel="next" href="/search?${queryText(query)}&before=${next}">Older</a>`}</p>`
}

const queryText = (query: string) => new URLSearchParams({ q: query }).toString()
