/** Sizes, times and foreign text as people read them in a terminal. */
export { formatBytes, formatCount, formatRelative, formatSpan, formatTime, printable } from '../../src/index.ts'

/** Columns of equal width, two spaces apart; the first row is the head. Cells must be one harmless line each. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}
