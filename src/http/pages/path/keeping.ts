/** Whether a path is used, and why it is kept. */
import { formatCount } from '../../../format.ts'
import { type Html, type HtmlValue, html } from '../html.ts'
import { facts } from '../parts.ts'
import { ago, pathLink } from '../path-list.ts'

export interface Keeping {
  readonly storePath: string
  /** From what is kept for itself to this path; undefined if it is not in the depot. */
  readonly chain: readonly { readonly storePath: string; readonly why: string }[] | undefined
  /** Undefined where downloads are not counted. */
  readonly downloads: { readonly count: number; readonly last: Date | undefined; readonly days: number } | undefined
  readonly now: Date
}

const maxSteps = 6

/** Undefined if nothing is known. */
export function renderKeeping({ storePath, chain, downloads, now }: Keeping): Html | undefined {
  if (chain === undefined && downloads === undefined) return undefined
  return html`<section class="stack" aria-labelledby="keeping">
<h2 id="keeping">Use</h2>
${facts([
  [
    'Downloads',
    downloads && [
      `${formatCount(downloads.count)} in ${formatCount(downloads.days, 'day')}`,
      downloads.last !== undefined && html`, the last one ${ago(downloads.last, now)}`,
    ],
  ],
  ['Kept because', chain && chainText(chain, storePath)],
])}
</section>
`
}

function chainText(chain: NonNullable<Keeping['chain']>, own: string): HtmlValue {
  const [first, ...others] = chain
  if (first === undefined) return 'nothing keeps it: the next collection removes it'
  const steps = others.filter(({ storePath }) => storePath !== own)
  const shown = steps.slice(0, maxSteps)
  return [
    html`<p>${first.storePath !== own && html`${pathLink(first.storePath)}: `}${first.why}</p>`,
    shown.length > 0 &&
      html`<p class="small muted">by way of ${shown.map(({ storePath }, index) => [index > 0 && ', ', pathLink(storePath)])}${steps.length > shown.length && ` and ${formatCount(steps.length - shown.length)} more`}</p>`,
  ]
}
