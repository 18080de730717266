/** The lists of `/usage`: users, paths, what is not here, slow transfers, and losses of the tunnel. */
import { formatBytes, formatCount, formatSpan, printable } from '../../../format.ts'
import { hashPartOf, nameOf } from '../../../nix/store-path.ts'
import type { UsageSummary } from '../../usage.ts'
import { barOf } from '../charts/bars.ts'
import { stripChart } from '../charts/strip.ts'
import { type Html, type HtmlValue, html } from '../html.ts'
import { type Column, emptyState, pill, table } from '../parts.ts'
import { shortDate, shortTime, userText } from './days.ts'

const maxUsers = 20
const maxPaths = 15
const maxMissed = 20
const maxSlow = 10
const maxDrops = 10
const maxNameLength = 80

const number = (label: string): Column => ({ label, isNumber: true })

export function usersSection({ users, to }: UsageSummary, days: number): Html {
  const max = Math.max(0, ...users.map(({ bytes }) => bytes))
  return section(
    'users',
    'Users',
    undefined,
    table(
      first(maxUsers, users.length, 'Those who received most'),
      [{ label: 'User' }, number('Sent'), number('Downloads'), number('Last seen')],
      users
        .slice(0, maxUsers)
        .map(({ user, bytes, downloads, lastAt }) => [
          html`<a href="/usage?days=${days}&user=${encodeURIComponent(user)}">${userText(user)}</a>${barOf(bytes, max)}`,
          formatBytes(bytes),
          formatCount(downloads),
          ago(lastAt, to),
        ]),
    ),
  )
}

/** Whether a path has a page that the reader may see. */
export type HasPage = (storePath: string) => boolean

export function pathsSection({ paths, to }: UsageSummary, isForAll: boolean, hasPage: HasPage): Html {
  const max = Math.max(0, ...paths.map(({ bytes }) => bytes))
  return section(
    'paths',
    'Downloaded paths',
    undefined,
    paths.length === 0
      ? emptyState('Nothing was downloaded', 'The paths with the most bytes sent are listed here.')
      : table(
          first(maxPaths, paths.length, 'Most bytes sent'),
          [
            { label: 'Path' },
            number('Sent'),
            number('Downloads'),
            ...(isForAll ? [number('Users')] : []),
            number('Last'),
          ],
          paths
            .slice(0, maxPaths)
            .map(({ storePath, bytes, downloads, users, lastAt }) => [
              html`${pathName(storePath, hasPage)}${barOf(bytes, max)}`,
              formatBytes(bytes),
              formatCount(downloads),
              ...(isForAll ? [formatCount(users)] : []),
              lastAt === undefined ? '' : ago(lastAt, to),
            ]),
        ),
  )
}

export function missedSection({ missed, to }: UsageSummary, isForAll: boolean): Html {
  return section(
    'missed',
    'Asked for and not here',
    html`If one machine builds and pushes these, the others need not build them. Nix sends only the hash of a path: the name is known only if something here names it. Paths that are here by now are left out.`,
    missed.length === 0
      ? emptyState('Nothing is missing', 'Paths that Nix asked for and that no store has are listed here.')
      : table(
          first(maxMissed, missed.length, isForAll ? 'Most users first' : 'Most requests first'),
          [
            { label: 'Path' },
            number('Requests'),
            ...(isForAll ? [number('Users')] : []),
            number('First'),
            number('Last'),
          ],
          missed
            .slice(0, maxMissed)
            .map(({ hashPart, name, asks, users, firstAt, lastAt }) => [
              name === undefined
                ? html`<code>${hashPart}</code>`
                : html`${printable(name, maxNameLength)} <code class="muted">${hashPart.slice(0, 8)}…</code>`,
              formatCount(asks),
              ...(isForAll ? [formatCount(users)] : []),
              ago(firstAt, to),
              ago(lastAt, to),
            ]),
        ),
  )
}

export function slowSection({ slowest }: UsageSummary, isForAll: boolean, hasPage: HasPage): Html {
  return section(
    'slow',
    'Slowest transfers',
    html`Of NARs of at least 1 MiB, from the request to the last byte. The client’s line, the tunnel and the time for compressing count.`,
    slowest.length === 0
      ? emptyState('No large NAR was sent', 'The slowest transfers of each day are listed here.')
      : table(
          first(maxSlow, slowest.length, 'Slowest first'),
          [
            { label: 'Path' },
            ...(isForAll ? [{ label: 'User' }] : []),
            number('Size'),
            number('Speed'),
            number('When'),
          ],
          slowest
            .slice(0, maxSlow)
            .map(({ storePath, user, bytes, durationMs, isComplete, at }) => [
              html`${pathName(storePath, hasPage)}${!isComplete && html` ${pill('interrupted', 'warn')}`}`,
              ...(isForAll ? [userText(user)] : []),
              formatBytes(bytes),
              `${formatBytes(Math.round((bytes / Math.max(1, durationMs)) * 1000))}/s`,
              shortTime(at),
            ]),
        ),
  )
}

export function tunnelSection({ drops, from, to }: UsageSummary): Html {
  const known = drops.filter((drop) => drop.until !== undefined)
  const lostMs = known.reduce((sum, drop) => sum + (drop.until! - drop.from), 0)
  const lengthOf = (drop: (typeof drops)[number]) =>
    drop.until === undefined ? 'unknown' : formatSpan(drop.until - drop.from)
  return section(
    'tunnel',
    'Tunnel',
    undefined,
    drops.length === 0
      ? emptyState('The tunnel was not lost', 'Times in which it was not connected are listed here.')
      : html`<p>Lost ${formatCount(drops.length, 'time')}, for ${formatSpan(lostMs)} in all.</p>
${stripChart({
  id: 'strip',
  title: 'When the tunnel was not connected',
  description: `Lost ${formatCount(drops.length, 'time')}, for ${formatSpan(lostMs)} in all.`,
  from,
  until: to,
  ends: [shortDate(from, true), shortDate(to, true)],
  marks: drops.map((drop) => ({
    from: drop.from,
    until: drop.until ?? drop.from,
    hint: `${shortTime(drop.from)}, for ${lengthOf(drop)}: ${printable(drop.reason, 120)}`,
  })),
})}
<details><summary>As a table</summary>
${table(
  first(maxDrops, drops.length, 'Latest first'),
  [{ label: 'From' }, number('For'), { label: 'Reason' }],
  drops.slice(0, maxDrops).map((drop) => [shortTime(drop.from), lengthOf(drop), printable(drop.reason, 120)]),
)}</details>
`,
  )
}

function section(id: string, title: string, explanation: HtmlValue, body: Html): Html {
  return html`<section class="stack" aria-labelledby="${id}">
<h2 id="${id}">${title}</h2>
${explanation !== undefined && html`<p class="muted lead">${explanation}</p>\n`}${body}</section>
`
}

/** The caption of a table says if it is cut. */
function first(shown: number, all: number, order: string): string {
  return all > shown ? `${order}: the first ${shown}` : order
}

function pathName(storePath: string, hasPage: HasPage): Html {
  const [hashPart, name] = [hashPartOf(storePath), printable(nameOf(storePath), maxNameLength)]
  const shown = hasPage(storePath)
    ? html`<a href="/path/${hashPart}" title="${storePath}">${name}</a>`
    : html`<span title="${storePath}">${name}</span>`
  return html`${shown} <code class="muted">${hashPart.slice(0, 8)}…</code>`
}

function ago(at: number, now: number): string {
  return now - at < 60_000 ? 'just now' : `${formatSpan(now - at)} ago`
}
