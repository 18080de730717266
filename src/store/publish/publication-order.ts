/**
 * The ids of published paths in the order in which they were published, for a list that others follow. A path may be in
 * it twice, or not be published any more: the reader checks.
 */
import type { PublishedPaths } from './publication.ts'

/** Each path of a page is looked up. */
const pageLength = 250
/** Begun again when this many entries more than twice the paths are in it. */
const slack = 10_000

export class PublicationOrder {
  #ids: number[] = []
  /** Cursors of an earlier list begin at the start of the new one. */
  #list = 1

  follow({ added, paths }: PublishedPaths): void {
    for (const id of added) this.#ids.push(id)
    if (this.#ids.length <= 2 * paths.values.length + slack) return
    this.#ids = [...paths.values]
    this.#list++
  }

  /** `cursor`: '' for the start, then that of the page before. */
  page(cursor: string): { readonly ids: readonly number[]; readonly cursor: string } {
    const [list, at] = cursor.split(':').map(Number)
    const start = list === this.#list ? (at ?? 0) : 0
    const ids = this.#ids.slice(start, start + pageLength)
    return { ids, cursor: `${this.#list}:${start + ids.length}` }
  }
}
