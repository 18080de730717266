/**
 * Reads which paths the stores have, a page at a time, and hands each to the indexes that are kept of them: no request
 * waits for a store of a hundred thousand paths. Paths that were deleted stay in the indexes: look each up before it is
 * used.
 */
import type { ListedPath, PathsPage, Store } from '../../store/store.ts'

/** Called once for each path; again if it was deleted and added. */
export type PathReader = (path: ListedPath, store: Store) => void

export class PathFeed {
  readonly #stores: readonly Store[]
  readonly #readers: PathReader[] = []
  readonly #cursors = new Map<Store, string>()
  #update: Promise<void> | undefined
  #isComplete = false

  constructor(stores: readonly Store[]) {
    this.#stores = stores.filter((store) => store.pathsAfter !== undefined)
  }

  /** Before the first update. */
  subscribe(reader: PathReader): void {
    this.#readers.push(reader)
  }

  /** False until all paths were read once. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  /** Reads what came since the last time. Resolves when everything was read. Never rejects. */
  update(): Promise<void> {
    this.#update ??= this.#read().finally(() => (this.#update = undefined))
    return this.#update
  }

  async #read(): Promise<void> {
    let isComplete = true
    for (const store of this.#stores) {
      for (;;) {
        const before = this.#cursors.get(store) ?? ''
        const page = readPage(store, before)
        isComplete &&= page !== undefined
        const { paths, cursor } = page ?? { paths: [], cursor: before }
        for (const path of paths) for (const read of this.#readers) read(path, store)
        this.#cursors.set(store, cursor)
        if (paths.length === 0 && cursor === before) break
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    this.#isComplete ||= isComplete
  }
}

/** Undefined for a store that cannot be read now. */
function readPage(store: Store, cursor: string): PathsPage | undefined {
  try {
    return store.pathsAfter!(cursor)
  } catch {
    return undefined
  }
}
