/**
 * Burrow's lines in a nix.conf: one block per cache, between two comments. Lines outside of the block are not changed.
 * A setting that the file has elsewhere is left out of the block, because the last line would win.
 */

export interface BlockResult {
  readonly text: string
  /** Settings that are left out because the file has them outside of the block. */
  readonly leftOut: readonly string[]
}

/** `lines`: `name = value` or comments. */
export function writeBlock(text: string, url: string, lines: readonly string[]): BlockResult {
  const { begin, end } = marksOf(url)
  const all = text.split('\n')
  const around = findAround(all, url)
  const { before, after } = around ?? { before: withoutTrailingBlank(all), after: [] }
  const foreign = settingsOf([...before, ...after])
  const leftOut: string[] = []
  const kept = lines.filter((line) => {
    const name = nameOf(line)
    const isForeign = name !== undefined && !name.startsWith('extra-') && foreign.has(name)
    if (isForeign) leftOut.push(name)
    return !isForeign
  })
  const block = [`${begin}, which replaces these lines`, ...kept, end]
  if (around !== undefined) return { text: [...before, ...block, ...after].join('\n'), leftOut }
  return { text: `${[...before, ...(before.length > 0 ? [''] : []), ...block].join('\n')}\n`, leftOut }
}

/** The text without the block, and without the blank line above it. */
export function removeBlock(text: string, url: string): string {
  const around = findAround(text.split('\n'), url)
  if (around === undefined) return text
  const { before, after } = around
  return [...(before.at(-1) === '' ? before.slice(0, -1) : before), ...after].join('\n')
}

const marksOf = (url: string) => ({
  begin: `# Begin of "burrow use ${url}"`,
  end: `# End of "burrow use ${url}"`,
})

/** The lines around the block; undefined where there is none. */
function findAround(all: readonly string[], url: string): { before: string[]; after: string[] } | undefined {
  const { begin, end } = marksOf(url)
  // By its start: the rest of the comment differs between versions.
  const from = all.findIndex((line) => line.startsWith(begin))
  const to = from < 0 ? -1 : all.indexOf(end, from)
  return to < 0 ? undefined : { before: all.slice(0, from), after: all.slice(to + 1) }
}

function withoutTrailingBlank(lines: readonly string[]): string[] {
  const last = lines.findLastIndex((line) => line !== '')
  return lines.slice(0, last + 1)
}

function settingsOf(lines: readonly string[]): Set<string> {
  return new Set(lines.flatMap((line) => nameOf(line) ?? []))
}

function nameOf(line: string): string | undefined {
  return /^\s*([a-z0-9-]+)\s*=/.exec(line)?.[1]
}
