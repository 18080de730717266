/**
 * Columns over time, stacked if there are several series: inline SVG, whose columns stretch with the page while its text
 * keeps its size. The values appear when a pointer rests on a column; the page shows them in a table too.
 *
 *     1 GiB ┤────────▆──────
 *         0 ┤▂▁▃▅▇▇▆█▂▁▃▃▅▇▂
 *            1 Nov     15 Nov
 */
import { type Html, html } from '../html.ts'
import { round, type Scale, scaleFor, toSize, type Unit } from './scale.ts'

export interface ColumnsChart {
  /** Unique on the page. */
  readonly id: string
  readonly title: string
  /** What can be seen, in a sentence. */
  readonly description: string
  readonly unit: Unit
  /** At most five; the first is at the bottom. */
  readonly series: readonly Series[]
  /** From left to right. */
  readonly columns: readonly Column[]
  readonly isLow?: boolean
}

export interface Series {
  readonly label: string
  /** One of the palette's colours. */
  readonly colour: 1 | 2 | 3 | 4 | 5
}

export interface Column {
  /** Below the axis, where there is room: `27 Nov`. */
  readonly label: string
  /** One for each series. */
  readonly values: readonly number[]
  /** Shown when a pointer rests on it. */
  readonly hint: string
}

/** Of a slot; a slot has 10. */
const columnWidth = 8
const maxLabels = 5
const labelRoom = 20
/** So that the label of the upper end is not cut off. */
const headRoom = 8
/** The same for the label of zero. */
const footRoom = 6

export function columnsChart(chart: ColumnsChart): Html {
  const { id, title, description, series, columns, unit, isLow } = chart
  const height = isLow === true ? 84 : 180
  const sums = columns.map(({ values }) => series.reduce((sum, _, at) => sum + toSize(values[at] ?? 0), 0))
  const scale = scaleFor(Math.max(0, ...sums), unit)
  const width = Math.max(1, columns.length) * 10
  return html`<figure class="plot stack">
${series.length > 1 && legend(series)}
<div class="plot-area">
${axis(scale, height)}
<div class="plot-columns">
<svg class="plot-bars" role="img" aria-labelledby="${id}-title ${id}-text" viewBox="0 ${-headRoom} ${width} ${height + headRoom}" height="${height + headRoom}" preserveAspectRatio="none">
<title id="${id}-title">${title}</title><desc id="${id}-text">${description}</desc>
${grid(scale, width, height)}
${series.map((one, at) => html`<path class="fill-${one.colour}" d="${pathOf(columns, at, scale, height)}"/>\n`)}<g class="plot-hints">${columns.map(
    ({ hint }, at) =>
      html`<rect x="${at * 10}" y="${-headRoom}" width="10" height="${height + headRoom}"><title>${hint}</title></rect>`,
  )}</g>
</svg>
${labels(columns)}
</div>
</div>
</figure>
`
}

/** Each column of a series is a rectangle on top of those of the series before. */
function pathOf(columns: readonly Column[], series: number, { top }: Scale, height: number): string {
  return columns
    .map(({ values }, at) => {
      const value = toSize(values[series] ?? 0)
      if (value === 0) return ''
      const below = values.slice(0, series).reduce((sum, one) => sum + toSize(one), 0)
      const from = height - (below / top) * height
      const size = (value / top) * height
      // What is not nothing can be seen.
      const drawn = Math.min(below === 0 ? Math.max(size, 2) : size, from)
      return `M${at * 10 + (10 - columnWidth) / 2} ${round(from)}v${-round(drawn)}h${columnWidth}v${round(drawn)}z`
    })
    .join('')
}

function grid({ ticks, top }: Scale, width: number, height: number): Html[] {
  return ticks.map(
    ({ value }) =>
      html`<path class="axis" vector-effect="non-scaling-stroke" d="M0 ${round(height - (value / top) * height)}h${width}"/>`,
  )
}

/** Beside the columns, in a box of its own that does not stretch. */
function axis({ ticks, top }: Scale, height: number): Html {
  return html`<svg class="plot-axis" aria-hidden="true" width="58" height="${height + headRoom + footRoom}">${ticks.map(
    ({ value, label }) =>
      html`<text x="50" y="${round(headRoom + height - (value / top) * height + 4)}" text-anchor="end">${label}</text>`,
  )}</svg>`
}

/** Centred below their column; the first and the last stay inside. */
function labels(columns: readonly Column[]): Html {
  const step = Math.max(1, Math.ceil(columns.length / maxLabels))
  const shown = columns.map(({ label }, at) => ({ label, at })).filter(({ at }) => at % step === 0)
  return html`<svg class="plot-labels" aria-hidden="true" width="100%" height="${labelRoom}">${shown.map(
    ({ label, at }) => {
      const x = ((at + 0.5) / columns.length) * 100
      const anchor = x < 8 ? 'start' : x > 92 ? 'end' : 'middle'
      return html`<text x="${round(x < 8 ? (at / columns.length) * 100 : x > 92 ? 100 : x)}%" y="15" text-anchor="${anchor}">${label}</text>`
    },
  )}</svg>`
}

/** The words are beside their colour, so that nothing depends on telling colours apart. */
export function legend(series: readonly Series[]): Html {
  return html`<ul class="legend" role="list">${series.map(
    ({ label, colour }) =>
      html`<li><svg class="swatch" aria-hidden="true" viewBox="0 0 10 10"><rect class="fill-${colour}" width="10" height="10" rx="2"/></svg>${label}</li>`,
  )}</ul>`
}
