/**
 * The narinfos of a closure as lines, in pieces: the roots first, then what they refer to, level by level. What this
 * machine has comes at once. Roots that only an upstream may have are waited for together; other paths of that kind are
 * left for the client to ask for.
 */
import { ignoreLate } from '../../ignore-late.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import { type ClosureLine, maxClosureNarInfos } from '../../relay/protocol.ts'
import type { CatalogueEntry } from '../narinfo/catalogue.ts'
import type { Origin } from '../origin.ts'
import { findBases } from './bases.ts'
import type { VersionIndex } from './version-index.ts'

/** Narinfos at a time: each may have to be looked up and signed, and other requests must not wait for thousands. */
const sliceLength = 16

/**
 * `versions`: undefined if no bases are wanted. `onAbsent` is called with each root that no store has. Rejects with the
 * fault store-unavailable.
 */
export async function* walkClosure(
  origin: Origin,
  versions: VersionIndex | undefined,
  roots: readonly string[],
  onAbsent: (root: string) => void,
): AsyncGenerator<string> {
  await versions?.update()
  const walk = new ClosureWalk(origin, versions, roots, onAbsent)
  yield* walk.readRoots()
  yield* walk.readReferences()
}

class ClosureWalk {
  readonly #origin: Origin
  readonly #versions: VersionIndex | undefined
  readonly #roots: readonly string[]
  readonly #onAbsent: (root: string) => void
  readonly #seen: Set<string>
  #next: string[] = []
  #count = 0

  constructor(
    origin: Origin,
    versions: VersionIndex | undefined,
    roots: readonly string[],
    onAbsent: (root: string) => void,
  ) {
    this.#onAbsent = onAbsent
    this.#origin = origin
    this.#versions = versions
    this.#seen = new Set(roots)
    this.#roots = [...this.#seen]
  }

  async *readRoots(): AsyncGenerator<string> {
    const lines: ClosureLine[] = []
    const late: { readonly root: string; readonly found: Promise<CatalogueEntry | undefined> }[] = []
    for (const root of this.#roots) {
      const found = this.#origin.catalogue.find(root)
      if (found instanceof Promise) {
        found.catch(() => {})
        late.push({ root, found })
      } else lines.push(this.#toRootLine(root, await this.#lease(root, found)))
    }
    if (lines.length > 0) yield format(lines)
    for (const { root, found } of late) yield format([this.#toRootLine(root, await this.#lease(root, await found))])
  }

  async *readReferences(): AsyncGenerator<string> {
    while (this.#next.length > 0 && !this.#isFull) {
      const level = this.#next
      this.#next = []
      for (let at = 0; at < level.length && !this.#isFull; at += sliceLength) {
        const entries = await Promise.all(level.slice(at, at + sliceLength).map((hashPart) => this.#findHere(hashPart)))
        const lines = entries.flatMap((entry) => this.#toLine(entry) ?? [])
        if (lines.length > 0) yield format(lines)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    yield format([{ end: { isWhole: !this.#isFull } }])
  }

  get #isFull(): boolean {
    return this.#count >= maxClosureNarInfos
  }

  async #findHere(hashPart: string): Promise<CatalogueEntry | undefined> {
    return await this.#lease(hashPart, ignoreLate(this.#origin.catalogue.find(hashPart)))
  }

  /** As for a narinfo that was asked for alone: its NAR is going to be asked for next. */
  async #lease(hashPart: string, entry: CatalogueEntry | undefined): Promise<CatalogueEntry | undefined> {
    if (entry === undefined) return undefined
    const { info, store } = entry.object
    if (store.leases.covers(info.storePath)) return entry
    await store.leases.take(info.storePath)
    return await this.#origin.catalogue.find(hashPart)
  }

  #toRootLine(root: string, entry: CatalogueEntry | undefined): ClosureLine {
    if (entry === undefined) this.#onAbsent(root)
    return this.#toLine(entry) ?? { absent: root }
  }

  /** Undefined for what is absent, and when the reply is full. */
  #toLine(entry: CatalogueEntry | undefined): ClosureLine | undefined {
    if (entry === undefined || this.#isFull) return undefined
    this.#count++
    for (const reference of entry.narInfo.references) {
      const hashPart = hashPartOf(reference)
      if (this.#seen.has(hashPart)) continue
      this.#seen.add(hashPart)
      this.#next.push(hashPart)
    }
    const bases = this.#versions === undefined ? [] : findBases(this.#origin, this.#versions, entry)
    return { narInfo: entry.text, ...(bases.length > 0 && { bases }) }
  }
}

const format = (lines: readonly ClosureLine[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join('')
