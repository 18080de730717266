/** The page of a store path: what is known of it at once. Closure and files follow in parts of their own. */
import { formatBytes, formatCount } from '../../../format.ts'
import type { NarInfo } from '../../../nix/nar-info.ts'
import type { PathInfo } from '../../../nix/path-info.ts'
import { baseNameOf, nameOf } from '../../../nix/store-path.ts'
import { type Html, type HtmlValue, html } from '../html.ts'
import { codeBlock, facts, pill, type Tab, tabs } from '../parts.ts'
import { ago, pathLink, registered } from '../path-list.ts'

export interface PathFacts {
  readonly info: NarInfo & Pick<PathInfo, 'registrationTime'>
  /** How it came here; empty if it was not pushed. Without names on a public cache. */
  readonly history: readonly PathEvent[]
  readonly referrers: readonly string[]
  /** There are more. */
  readonly hasMoreReferrers: boolean
  /** Names of the keys with which this cache signs. */
  readonly ownKeys: ReadonlySet<string>
  readonly cacheUrl: string
  readonly isPublic: boolean
  readonly now: Date
}

export interface PathEvent {
  readonly what: string
  readonly user: string | undefined
  readonly at: Date
}

/** Nix reads the password as the user who runs this command. */
const copyTitle = 'Copy it and its closure from this cache'
/** Of each list. */
const maxListed = 24

export function renderPathFacts(path: PathFacts): Html {
  const { info, now } = path
  const { storePath, deriver } = info
  return html`<div class="sections">
<div class="stack">
<h1>${nameOf(storePath)}</h1>
<p class="muted"><code>${storePath}</code></p>
${facts([
  [
    'Size',
    html`<span class="number">${formatBytes(info.narSize)}</span> unpacked${info.fileSize !== undefined && html`, <span class="number">${formatBytes(info.fileSize)}</span> to download`}`,
  ],
  ['Added', registered(info, now)],
  ['Vouched for by', vouchers(path)],
  [
    'Pushed',
    path.history.length > 0 &&
      path.history.map(
        ({ what, user, at }) => html`<p>${what}${user !== undefined && html` by ${user}`} ${ago(at, now)}</p>`,
      ),
  ],
  ['Built from', deriver !== undefined && deriverText(deriver)],
  ['Content address', info.contentAddress !== undefined && html`<code>${info.contentAddress}</code>`],
  ['NAR hash', html`<code>${info.narHash}</code>`],
])}
</div>
<section class="stack" aria-labelledby="get">
<h2 id="get">Get it</h2>
${commands(path)}
</section>
<div class="split even">
${pathSection({
  id: 'refers',
  title: 'Refers to',
  all: info.references.filter((reference) => reference !== storePath),
  none: info.references.includes(storePath) ? 'Only itself' : 'No other path',
  note: info.references.includes(storePath) && 'and itself',
})}
${pathSection({
  id: 'referrers',
  title: 'Referred to by',
  all: path.referrers,
  hasMore: path.hasMoreReferrers,
  none: 'No path on this machine',
})}
</div>
`
}

function vouchers({ info, ownKeys }: PathFacts): HtmlValue {
  const names = [...new Set(info.signatures.map((signature) => signature.slice(0, signature.indexOf(':'))))]
  if (names.length === 0 && info.contentAddress === undefined)
    return 'nobody: clients refuse it unless they trust all paths'
  return [
    ...names.map(
      (name) =>
        html`<span class="voucher"><code>${name}</code>${ownKeys.has(name) && html` ${pill('this cache', 'good')}`}</span> `,
    ),
    info.contentAddress !== undefined && 'its contents, which its name depends on',
  ]
}

function deriverText(deriver: string): Html {
  const name = baseNameOf(deriver)
  return html`${pathLink(deriver)} <span class="small"><a href="/log/${encodeURIComponent(name)}">build log</a></span>`
}

interface PathList {
  readonly id: string
  readonly title: string
  readonly all: readonly string[]
  readonly hasMore?: boolean
  /** Instead of an empty list. */
  readonly none: string
  /** Below the list. */
  readonly note?: string | false
}

function pathSection({ id, title, all, hasMore = false, none, note = false }: PathList): Html {
  const shown = all.toSorted(byName).slice(0, maxListed)
  const rest = all.length - shown.length
  return html`<section class="stack" aria-labelledby="${id}">
<h2 id="${id}">${title} <span class="muted number">${formatCount(all.length)}${hasMore && ' or more'}</span></h2>
${
  shown.length === 0
    ? html`<p class="muted">${none}</p>`
    : html`<ul class="lines">${shown.map((storePath) => html`<li>${pathLink(storePath)}</li>\n`)}</ul>${
        (rest > 0 || hasMore) && html`<p class="muted small">and ${rest > 0 ? formatCount(rest) : ''} more</p>`
      }${note !== false && html`<p class="muted small">${note}</p>`}`
}
</section>
`
}

function byName(left: string, right: string): number {
  const [a, b] = [nameOf(left), nameOf(right)]
  return a < b ? -1 : a > b ? 1 : 0
}

function commands({ info, cacheUrl, isPublic }: PathFacts): Html {
  const { storePath } = info
  const all: Tab[] = [
    {
      label: 'nix',
      body: html`${codeBlock('get-build', 'Fetch it, with a link that keeps it', `nix build --out-link ./result ${storePath}`)}
${codeBlock('get-copy', isPublic ? copyTitle : `${copyTitle}, as root or with --netrc-file`, `nix copy --from ${cacheUrl} ${storePath}`)}`,
    },
    {
      label: 'nix-store',
      body: html`${codeBlock('get-realise', 'Fetch it', `nix-store -r ${storePath}`)}
${codeBlock('get-root', 'Fetch it, and keep it by a garbage collector root', `nix-store -r ${storePath} --add-root ./result`)}`,
    },
  ]
  return tabs('get', 'Commands of', all)
}
