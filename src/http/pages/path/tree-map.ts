/**
 * A tree map: rectangles whose areas are sizes. The layout keeps them nearly square: a row takes further rectangles as
 * long as its worst aspect ratio gets better. Source: M. Bruls, K. Huizing, J. van Wijk, "Squarified Treemaps", 2000.
 */
import { type Html, html } from '../html.ts'

export interface Area {
  readonly label: string
  readonly size: number
  /** A second line, and the tooltip after the label. */
  readonly note: string
  /** `own`: the object itself; `rest`: what is too small to be shown alone. */
  readonly kind: 'own' | 'rest' | undefined
}

export interface Rectangle {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** One rectangle for each size; sizes are in descending order and together more than 0. */
export function layOut(sizes: readonly number[], width: number, height: number): Rectangle[] {
  const scale = (width * height) / sizes.reduce((sum, size) => sum + size, 0)
  const areas = sizes.map((size) => size * scale)
  const rectangles: Rectangle[] = []
  let free: Rectangle = { x: 0, y: 0, width, height }
  for (let from = 0; from < areas.length; ) {
    const side = Math.min(free.width, free.height)
    let to = from + 1
    while (to < areas.length && worstRatio(areas, from, to + 1, side) <= worstRatio(areas, from, to, side)) to++
    const row = areas.slice(from, to)
    const { placed, rest } = placeRow(row, free)
    rectangles.push(...placed)
    free = rest
    from = to
  }
  return rectangles
}

function worstRatio(areas: readonly number[], from: number, to: number, side: number): number {
  let sum = 0
  for (let index = from; index < to; index++) sum += areas[index]!
  const largest = areas[from]!
  const smallest = areas[to - 1]!
  return Math.max((side * side * largest) / (sum * sum), (sum * sum) / (side * side * smallest))
}

/** Along the shorter side. */
function placeRow(row: readonly number[], free: Rectangle): { placed: Rectangle[]; rest: Rectangle } {
  const sum = row.reduce((total, area) => total + area, 0)
  const isUpright = free.width >= free.height
  const side = isUpright ? free.height : free.width
  const depth = side === 0 ? 0 : sum / side
  let offset = 0
  const placed = row.map((area) => {
    const length = depth === 0 ? 0 : area / depth
    const rectangle = isUpright
      ? { x: free.x, y: free.y + offset, width: depth, height: length }
      : { x: free.x + offset, y: free.y, width: length, height: depth }
    offset += length
    return rectangle
  })
  const rest = isUpright
    ? { ...free, x: free.x + depth, width: Math.max(0, free.width - depth) }
    : { ...free, y: free.y + depth, height: Math.max(0, free.height - depth) }
  return { placed, rest }
}

/** Of the type size, on average. */
const characterWidth = 0.57

interface Format {
  readonly name: string
  readonly width: number
  readonly height: number
  /** As in the stylesheet. */
  readonly typeSize: number
}

const wide: Format = { name: 'wide', width: 900, height: 280, typeSize: 14 }
const narrow: Format = { name: 'narrow', width: 420, height: 420, typeSize: 13 }

/** Once for wide windows and once for phones: text is never scaled below what can be read. */
export function treeMap(title: string, areas: readonly Area[]): Html {
  return html`${drawing(title, areas, wide)}${drawing(title, areas, narrow)}`
}

function drawing(title: string, areas: readonly Area[], { name, width, height, typeSize }: Format): Html {
  const rectangles = layOut(
    areas.map(({ size }) => size),
    width,
    height,
  )
  return html`<svg class="chart tree-map ${name}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">
${areas.map((area, index) => box(area, rectangles[index]!, typeSize))}</svg>
`
}

function box({ label, note, kind }: Area, { x, y, width, height }: Rectangle, typeSize: number): Html {
  const lineHeight = typeSize * 1.35
  const fits = Math.floor((width - 12) / (typeSize * characterWidth))
  const text = fits >= label.length ? label : fits >= 4 ? `${label.slice(0, fits - 1)}…` : ''
  const hasText = text !== '' && height > lineHeight + 6
  const hasNote = hasText && note.length <= fits && height > 2 * lineHeight + 6
  return html`<g${kind !== undefined && html` class="${kind}"`}><title>${label}, ${note}</title><rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}"/>${
    hasText && html`<text x="${round(x + 6)}" y="${round(y + lineHeight)}">${text}</text>`
  }${hasNote && html`<text class="note" x="${round(x + 6)}" y="${round(y + 2 * lineHeight)}">${note}</text>`}</g>
`
}

const round = (value: number) => Math.round(value * 10) / 10
