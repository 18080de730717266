/** Store paths as people read them: the name as a link, the size, the time. */
import { formatBytes, formatRelative } from '../../format.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { hashPartOf, nameOf } from '../../nix/store-path.ts'
import { type Html, html } from './html.ts'

/** A link to the page of a path. */
export function pathLink(storePath: string): Html {
  return html`<a href="/path/${hashPartOf(storePath)}">${nameOf(storePath)}</a>`
}

export function ago(date: Date, now: Date): Html {
  const iso = date.toISOString()
  return html`<time datetime="${iso}" title="${iso.slice(0, 19).replace('T', ' ')} UTC">${formatRelative(iso, now.getTime())}</time>`
}

export function registered({ registrationTime }: Pick<PathInfo, 'registrationTime'>, now: Date): Html | string {
  return registrationTime > 0 ? ago(new Date(registrationTime * 1000), now) : ''
}

export function size(bytes: number): Html {
  return html`<span class="number">${formatBytes(bytes)}</span>`
}
