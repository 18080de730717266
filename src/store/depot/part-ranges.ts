/** Sets of part indices as text: `0-3,7`. */

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
