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
  const [begin, end] = [`# Begin of "burrow use ${url}"`, `# End of "burrow use ${url}"`]
  const all = text.split('\n')
  // By its start: the rest of the comment differs between versions.
  const from = all.findIndex((line) => line.startsWith(begin))
  const to = from < 0 ? -1 : all.indexOf(end, from)
  const isPresent = from >= 0 && to >= 0
  const [before, after] = isPresent ? [all.slice(0, from), all.slice(to + 1)] : [withoutTrailingBlank(all), []]
  const foreign = settingsOf([...before, ...after])
  const leftOut: string[] = []
  const kept = lines.filter((line) => {
    const name = nameOf(line)
    const isForeign = name !== undefined && !name.startsWith('extra-') && foreign.has(name)
    if (isForeign) leftOut.push(name)
    return !isForeign
  })
  const block = [`${begin}, which replaces these lines`, ...kept, end]
  if (isPresent) return { text: [...before, ...block, ...after].join('\n'), leftOut }
  return { text: `${[...before, ...(before.length > 0 ? [''] : []), ...block].join('\n')}\n`, leftOut }
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
