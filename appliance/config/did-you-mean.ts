/** What somebody who typed a wrong word probably meant. */

/** The candidate nearest to `word` in spelling, if any is near enough to be worth a question. */
export function findNearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(normalise(word), normalise(candidate)) }))
    .toSorted((left, right) => left.distance - right.distance)
  const best = ranked[0]
  return best !== undefined && best.distance <= Math.max(1, Math.floor(best.candidate.length / 3))
    ? best.candidate
    : undefined
}

/** `index_page`, `index-page` and `indexpage` are one word. */
function normalise(word: string): string {
  return word.slice(0, 64).toLowerCase().replaceAll(/[-_ ]/g, '')
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
export function editDistance(from: string, to: string): number {
  let older: number[] = []
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const replaced = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1)
      const isSwap = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      current.push(
        Math.min(
          replaced,
          previous[column]! + 1,
          current[column - 1]! + 1,
          isSwap ? older[column - 2]! + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
    older = previous
    previous = current
  }
  return previous[to.length]!
}
