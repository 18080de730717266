/**
 * One thing wrong with a config: where (a JSON pointer, RFC 6901), what, and what to do.
 * The text never quotes a secret; values of other settings are quoted.
 */

export interface Problem {
  /** `/users/0/password`; the empty string is the whole document. */
  readonly pointer: string
  /** Continues a sentence that begins with the pointer: `is not a loopback address`. */
  readonly message: string
  /** An order: `use 127.0.0.1:8080`. */
  readonly remedy: string
  /** The key itself is wrong, whatever its value. */
  readonly isAboutKey?: true
}

export type Path = readonly PropertyKey[]

export function toPointer(path: Path): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

export function valueAt(document: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, part) => (isObject(value) ? value[part as string] : undefined), document)
}

/** Objects and arrays. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** `source` is quoted in the first line; `lineOf` returns the line of a pointer in it. */
export function formatProblems(
  source: string,
  problems: readonly Problem[],
  lineOf: (pointer: string) => number | undefined,
): string {
  const placed = problems
    .map((problem) => ({ problem, line: lineOf(problem.pointer) }))
    .toSorted((left, right) => (left.line ?? 0) - (right.line ?? 0))
  const lines = placed.map(({ problem, line }) => formatProblem(problem, line))
  if (lines.length === 1) return `Cannot use config ${source}: ${lines[0]}`
  return [`Cannot use config ${source}: ${lines.length} problems`, ...lines.map((line) => `  ${line}`)].join('\n')
}

function formatProblem({ pointer, message, remedy }: Problem, line: number | undefined): string {
  return `${pointer === '' ? 'the file' : pointer}${line === undefined ? '' : ` (line ${line})`} ${message}; ${remedy}`
}
