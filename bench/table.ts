/** The table a run prints, and the same as JSON. */
import { cpus, totalmem } from 'node:os'
import type { Measure, Outcome, Round } from './measure.ts'
import { median } from './statistics.ts'

export interface Row {
  readonly name: string
  readonly what: string
  readonly unit: string
  /** Medians of the rounds. */
  readonly reference: number | undefined
  readonly burrow: number
  /** Median of the rounds' ratios, with the least and the greatest. */
  readonly ratio: readonly [median: number, least: number, greatest: number] | undefined
  /** The spread of Burrow's own figure. */
  readonly spread: readonly [least: number, greatest: number]
  readonly target: string
  readonly met: boolean
  readonly rounds: readonly Round[]
  readonly notes: readonly string[]
}

export function toRow(measure: Measure, outcome: Outcome): Row {
  const burrow = outcome.rounds.map((round) => round.burrow)
  const references = outcome.rounds.flatMap((round) => (round.reference === undefined ? [] : [round.reference]))
  const ratios = outcome.rounds.flatMap((round) =>
    round.reference === undefined ? [] : [round.burrow / round.reference],
  )
  const { of, relation, value } = measure.target
  const judged = median(of === 'ratio' ? ratios : burrow)
  return {
    name: measure.name,
    what: measure.what,
    unit: measure.unit,
    reference: references.length === 0 ? undefined : median(references),
    burrow: median(burrow),
    ratio: ratios.length === 0 ? undefined : [median(ratios), Math.min(...ratios), Math.max(...ratios)],
    spread: [Math.min(...burrow), Math.max(...burrow)],
    target: of === 'ratio' ? `${relation} ${value.toFixed(2)}` : `${relation} ${value} ${measure.unit}`,
    met: relation === '≥' ? judged >= value : relation === '≤' ? judged <= value : judged > value,
    rounds: outcome.rounds,
    notes: outcome.notes ?? [],
  }
}

/** GitHub's form of a table, columns in line, so that it reads as well in a terminal as in a README. */
export function formatTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.what,
    row.reference === undefined ? '—' : `${formatFigure(row.reference)} ${row.unit}`,
    `${formatFigure(row.burrow)} ${row.unit}`,
    row.ratio === undefined ? `— (${row.spread.map(formatFigure).join('–')} ${row.unit})` : formatRatio(row),
    row.target,
    row.met ? 'yes' : 'NO',
  ])
  const all = [['what', 'reference', 'burrow', 'ratio (least–greatest)', 'target', 'met?'], ...cells]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((line) => [...line[column]!].length)))
  const lines = all.map(
    (line) => `| ${line.map((cell, column) => cell + ' '.repeat(widths[column]! - [...cell].length)).join(' | ')} |`,
  )
  lines.splice(1, 0, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`)
  return lines.join('\n')
}

/** The machine and the versions: a ratio means little without them. */
export function describeMachine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  return `${cpus().length} cores (${model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, zstd of Node ${process.versions.zstd ?? 'unknown'}`
}

function formatRatio(row: Row): string {
  const [middle, least, greatest] = row.ratio!
  return row.rounds.length === 1
    ? middle.toFixed(3)
    : `${middle.toFixed(2)} (${least.toFixed(2)}–${greatest.toFixed(2)})`
}

function formatFigure(value: number): string {
  if (value >= 1_000) return Math.round(value).toLocaleString('en-US')
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
