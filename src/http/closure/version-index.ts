/**
 * Which store objects are versions of the same thing, by name: what a delta can start from. Filled from the stores'
 * lists of paths a page at a time, so that no request waits for a store of a hundred thousand paths.
 */
import { nameWithoutVersion } from '../../delta/worth.ts'
import { hashPartOf, nameOf } from '../../nix/store-path.ts'
import type { Store } from '../../store/store.ts'

/** Of one name, the latest. */
const maxVersions = 16

export class VersionIndex {
  readonly #stores: readonly Store[]
  readonly #cursors = new Map<Store, string>()
  /** Hash parts by name without version, the latest last. */
  readonly #hashParts = new Map<string, string[]>()
  #update: Promise<void> | undefined

  constructor(stores: readonly Store[]) {
    this.#stores = stores.filter((store) => store.pathsAfter !== undefined)
  }

  /** Adds what came since the last time. Resolves when the index is complete. Never rejects. */
  update(): Promise<void> {
    this.#update ??= this.#read().finally(() => (this.#update = undefined))
    return this.#update
  }

  /** Hash parts of paths with the same name but for the version, the latest first, without this one. They may be gone. */
  find(storePath: string): readonly string[] {
    const own = hashPartOf(storePath)
    const versions = this.#hashParts.get(nameWithoutVersion(nameOf(storePath))) ?? []
    return versions.filter((hashPart) => hashPart !== own).toReversed()
  }

  async #read(): Promise<void> {
    for (const store of this.#stores) {
      for (;;) {
        const before = this.#cursors.get(store) ?? ''
        const { storePaths, cursor } = readPage(store, before)
        for (const storePath of storePaths) this.#add(storePath)
        this.#cursors.set(store, cursor)
        if (storePaths.length === 0 && cursor === before) break
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
  }

  #add(storePath: string): void {
    const name = nameWithoutVersion(nameOf(storePath))
    const versions = this.#hashParts.get(name)
    const hashPart = hashPartOf(storePath)
    if (versions === undefined) this.#hashParts.set(name, [hashPart])
    else if (!versions.includes(hashPart)) {
      versions.push(hashPart)
      if (versions.length > maxVersions) versions.shift()
    }
  }
}

/** A store that cannot be read now offers no bases. */
function readPage(store: Store, cursor: string): ReturnType<NonNullable<Store['pathsAfter']>> {
  try {
    return store.pathsAfter!(cursor)
  } catch {
    return { storePaths: [], cursor }
  }
}
