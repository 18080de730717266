/**
 * A NAR on its way in parts: cut at fixed places, every `partBytes` of the uncompressed NAR. Both ends of a push count
 * by these.
 */

/** Above this a NAR goes in parts, below it whole, many in one batch. */
export const batchNarBytes = 2 ** 20

/** Part indices as text: `[0,1,2,3,7]` as `0-3,7`. */
export function formatRanges(sorted: readonly number[]): string {
  const ranges: string[] = []
  for (let at = 0; at < sorted.length; ) {
    let end = at
    while (end + 1 < sorted.length && sorted[end + 1] === sorted[end]! + 1) end++
    ranges.push(end === at ? `${sorted[at]}` : `${sorted[at]}-${sorted[end]}`)
    at = end + 1
  }
  return ranges.join(',')
}

/** What `formatRanges` wrote. Undefined for anything else, and for an index that is not below `count`. */
export function parseRanges(text: string, count: number): Set<number> | undefined {
  const indices = new Set<number>()
  if (text === '') return indices
  for (const run of text.split(',')) {
    const [, first, last = first] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(run) ?? []
    if (first === undefined || Number(last) >= count || Number(first) > Number(last)) return undefined
    for (let index = Number(first); index <= Number(last); index++) indices.add(index)
  }
  return indices
}

export function countParts(narSize: number, partBytes: number): number {
  return Math.ceil(narSize / partBytes)
}

/** Bytes of NAR in this part. */
export function sizeOfPart(narSize: number, partBytes: number, index: number): number {
  return Math.min(partBytes, narSize - index * partBytes)
}

/** What is there of an assembly: the parts appended already, and those waiting. */
export function partsHere(flushedParts: number, waiting: readonly number[]): number[] {
  const here = Array.from({ length: flushedParts }, (_, index) => index)
  for (const index of waiting) if (index >= flushedParts) here.push(index)
  return here
}

export function missingParts(here: readonly number[], count: number): number[] {
  const known = new Set(here)
  return Array.from({ length: count }, (_, index) => index).filter((index) => !known.has(index))
}
