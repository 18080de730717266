/**
 * The names of all paths in memory, the newest last: what the search looks through. A hundred thousand names take 10 MB
 * and some milliseconds. Each path that is found is looked up in the store that listed it, so that neither deleted paths
 * nor those that the store withholds are shown.
 */
import { ignoreLate } from '../../ignore-late.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import type { ListedPath, Store, StoreObject } from '../../store/store.ts'
import type { PathFeed } from './path-feed.ts'

interface Entry {
  readonly baseName: string
  /** In lower case. */
  readonly text: string
  readonly registrationTime: number
  readonly store: Store
}

export interface NamePage {
  /** The newest first. */
  readonly objects: readonly StoreObject[]
  /** Where the next page begins; undefined at the end. */
  readonly next: number | undefined
}

/** The oldest names are dropped. */
const maxNames = 500_000
/** After the hash part and its dash. */
const nameStart = 33
/** Names looked through before other requests get their turn. */
const sliceLength = 20_000

export class NameIndex {
  readonly #feed: PathFeed
  #entries: Entry[] = []
  #isSorted = true
  /** How many of the oldest were dropped: positions count from the first name ever. */
  #dropped = 0

  constructor(feed: PathFeed) {
    this.#feed = feed
    feed.subscribe((path, store) => this.#add(path, store))
  }

  /** False while the stores are read for the first time: a search then finds only a part. */
  get isComplete(): boolean {
    return this.#feed.isComplete
  }

  get size(): number {
    return this.#entries.length
  }

  /**
   * Reads what came since the last time. Does not wait for stores that are read for the first time: a page then shows
   * what is known. Never rejects.
   */
  async update(): Promise<void> {
    const update = this.#feed.update()
    if (this.#feed.isComplete) await update
  }

  /**
   * Paths whose name contains all words, in any case; all paths for no words. A word may also begin a hash part.
   * `before`: the `next` of an earlier page.
   */
  async search(words: readonly string[], limit: number, before?: number): Promise<NamePage> {
    this.#sort()
    const wanted = words.map((word) => word.toLowerCase())
    const objects: StoreObject[] = []
    const seen = new Set<string>()
    let position = Math.min(before ?? Number.POSITIVE_INFINITY, this.#dropped + this.#entries.length)
    for (let looked = 1; position > this.#dropped; looked++) {
      position--
      const entry = this.#entries[position - this.#dropped]
      if (entry !== undefined && containsAll(entry.text, wanted)) {
        const object = findListed(entry)
        if (object !== undefined && !seen.has(entry.baseName)) {
          if (objects.length === limit) return { objects, next: position + 1 }
          seen.add(entry.baseName)
          objects.push(object)
        }
      }
      if (looked % sliceLength === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    return { objects, next: undefined }
  }

  #add({ storePath, registrationTime }: ListedPath, store: Store): void {
    const last = this.#entries.at(-1)
    if (last !== undefined && last.registrationTime > registrationTime) this.#isSorted = false
    // A copy: a part of a longer text would keep that text in memory.
    const baseName = Buffer.from(storePath.slice(store.storeDir.length + 1), 'latin1').toString('latin1')
    const lower = baseName.toLowerCase()
    this.#entries.push({ baseName, text: lower === baseName ? baseName : lower, registrationTime, store })
    if (this.#entries.length <= maxNames * 1.1) return
    this.#sort()
    this.#dropped += this.#entries.length - maxNames
    this.#entries = this.#entries.slice(-maxNames)
  }

  #sort(): void {
    if (this.#isSorted) return
    this.#entries.sort((left, right) => left.registrationTime - right.registrationTime)
    this.#isSorted = true
  }
}

/** Undefined if it is gone. A store that lists its paths answers at once. */
function findListed({ baseName, store }: Entry): StoreObject | undefined {
  const found = ignoreLate(store.find(hashPartOf(baseName)))
  return found?.info.storePath.endsWith(`/${baseName}`) ? found : undefined
}

/** In the name, or at the beginning of the hash part. A plain loop: it runs a hundred thousand times in a search. */
function containsAll(text: string, words: readonly string[]): boolean {
  for (const word of words) if (text.indexOf(word, nameStart) < 0 && !text.startsWith(word)) return false
  return true
}
