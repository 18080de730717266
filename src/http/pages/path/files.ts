/**
 * The files of a store object: directories that can be opened, as far as the budget of entries goes. A directory that no
 * longer fits is a link to a page of its own.
 */

import { formatBytes, formatCount } from '../../../format.ts'
import type { NarListing } from '../../../nar/listing.ts'
import { type Html, type HtmlValue, html } from '../html.ts'

/** Of one page: the largest directories have tens of thousands of entries. */
const maxEntries = 60

type Directory = Extract<NarListing, { type: 'directory' }>

/** Undefined for text that is not a listing. */
export function parseListing(json: Uint8Array): NarListing | undefined {
  const { root } = JSON.parse(Buffer.from(json).toString('utf8')) as { readonly root?: NarListing }
  return root
}

/** The entry at this path below the root, without following symlinks; undefined if there is none. */
export function findEntry(root: NarListing, path: readonly string[]): NarListing | undefined {
  return path.reduce<NarListing | undefined>(
    (at, name) => (at?.type === 'directory' && Object.hasOwn(at.entries, name) ? at.entries[name] : undefined),
    root,
  )
}

/** `name`: of this entry, if it is no directory. `path`: of this entry below the root. `page`: URL of the page of files. */
export function renderFiles(entry: NarListing, name: string, path: readonly string[], page: string): Html {
  if (entry.type !== 'directory') return html`<ul class="tree">${renderEntry(name, entry, '')}</ul>`
  const budget = { left: maxEntries }
  return renderDirectory(entry, path, page, budget)
}

/** Breadth first: a large directory must not hide those beside it. */
function renderDirectory(
  { entries }: Directory,
  path: readonly string[],
  page: string,
  budget: { left: number },
): Html {
  const names = Object.keys(entries)
  if (names.length === 0) return html`<p class="muted small">empty</p>`
  const shown = names.slice(0, budget.left)
  budget.left -= shown.length
  const items = shown.map((name) => {
    const entry = entries[name]!
    const inner = [...path, name]
    return renderEntry(name, entry, entry.type === 'directory' ? renderInner(entry, inner, page, budget) : '')
  })
  return html`<ul class="tree">
${items}${
  shown.length < names.length && html`<li class="muted small">and ${formatCount(names.length - shown.length)} more</li>`
}</ul>`
}

/** Undefined: it does not fit. */
function renderInner(directory: Directory, path: readonly string[], page: string, budget: { left: number }): HtmlValue {
  const count = Object.keys(directory.entries).length
  if (count <= budget.left) return renderDirectory(directory, path, page, budget)
  return html`<p class="small"><a href="${page}?${new URLSearchParams({ in: path.join('/') }).toString()}">${formatCount(count)} entries</a></p>`
}

function renderEntry(name: string, entry: NarListing, inner: HtmlValue): Html {
  switch (entry.type) {
    case 'directory':
      return html`<li><details><summary><code>${name}/</code></summary>${inner}</details></li>\n`
    case 'symlink':
      return html`<li><code>${name}</code> <span class="muted">→ <code>${entry.target}</code></span></li>\n`
    case 'regular':
      return html`<li><code>${name}</code>${entry.executable === true && html` <span class="pill">executable</span>`} <span class="muted small number">${formatBytes(entry.size)}</span></li>\n`
  }
}
