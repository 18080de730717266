/** Horizontal bars from zero, each with its label and value above it; and a bar alone, for the cell of a table. */
import { type Html, html } from '../html.ts'
import { round, toSize } from './scale.ts'

export interface Bar {
  readonly label: string
  readonly value: number
  /** The value as people read it. */
  readonly text: string
  readonly colour: 1 | 2 | 3 | 4 | 5
}

/** The longest is as wide as its box. */
export function bars(all: readonly Bar[]): Html {
  const max = Math.max(0, ...all.map(({ value }) => toSize(value)))
  return html`<dl class="bars">
${all.map(
  ({ label, value, text, colour }) =>
    html`<div><dt>${label}</dt><dd>${text}</dd><dd class="bars-line">${barOf(value, max, colour)}</dd></div>\n`,
)}</dl>
`
}

/** Decoration: the value must be beside it as text. */
export function barOf(value: number, max: number, colour: Bar['colour'] = 1): Html {
  const size = toSize(value)
  const most = Math.max(toSize(max), size)
  const share = most === 0 ? 0 : Math.max((size / most) * 100, size > 0 ? 0.5 : 0)
  return html`<svg class="meter" aria-hidden="true" viewBox="0 0 100 6" preserveAspectRatio="none"><rect class="fill-${colour}" width="${round(share)}" height="6"/></svg>`
}
