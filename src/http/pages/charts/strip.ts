/** A span of time as a strip, with the parts of it that are marked: times in which something was not available. */
import { type Html, html } from '../html.ts'
import { round } from './scale.ts'

export interface StripChart {
  /** Unique on the page. */
  readonly id: string
  readonly title: string
  readonly description: string
  readonly from: number
  readonly until: number
  /** Labels of both ends. */
  readonly ends: readonly [string, string]
  readonly marks: readonly { readonly from: number; readonly until: number; readonly hint: string }[]
}

/** Per cent of the strip: a loss of seconds in a year must be seen. */
const leastWidth = 0.4

export function stripChart({ id, title, description, from, until, ends, marks }: StripChart): Html {
  const length = Math.max(1, until - from)
  const toShare = (at: number) => Math.min(100, Math.max(0, ((at - from) / length) * 100))
  return html`<figure class="plot">
<svg class="strip" role="img" aria-labelledby="${id}-title ${id}-text" width="100%" height="28">
<title id="${id}-title">${title}</title><desc id="${id}-text">${description}</desc>
<rect class="strip-whole" width="100%" height="28" rx="3"/>
${marks.map((mark) => {
  const start = toShare(mark.from)
  const width = Math.max(leastWidth, toShare(mark.until) - start)
  return html`<rect class="strip-mark" x="${round(Math.min(start, 100 - width))}%" width="${round(width)}%" height="28"><title>${mark.hint}</title></rect>\n`
})}</svg>
<svg class="plot-labels" aria-hidden="true" width="100%" height="20"><text x="0" y="15">${ends[0]}</text><text x="100%" y="15" text-anchor="end">${ends[1]}</text></svg>
</figure>
`
}
