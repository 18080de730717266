/**
 * Finds for each file of a tree the file of another tree that it most likely comes from: the one at the same path, else
 * one at the same path but for digits and store hashes, else one with the same name. Among several the one nearest in
 * size, then the first in NAR order. Names alone decide, so the result is the same each time.
 */
import { EntryKind, type Layout } from '../nar/layout.ts'

/** No partner, in the column of partners. */
export const noPartner = -1

/** Returns the base's entry for each entry of the target; `noPartner` for what is not a file, or is empty. */
export function findPartners(base: Layout, target: Layout): Int32Array {
  const partners = new Int32Array(target.entries).fill(noPartner)
  const atSamePath = matchPaths(base, target)
  let likeFiles: LikeFiles | undefined
  const targetPaths = new AlikePaths(target)
  for (let entry = 0; entry < target.entries; entry++) {
    if (!hasContent(target, entry)) continue
    const same = atSamePath[entry]!
    if (same !== noPartner && hasContent(base, same)) {
      partners[entry] = same
      continue
    }
    likeFiles ??= new LikeFiles(base)
    partners[entry] = likeFiles.find(targetPaths.of(entry), nameOf(target, entry), target.sizes[entry]!)
  }
  return partners
}

/** True for a file that is not empty. */
export function hasContent(layout: Layout, entry: number): boolean {
  const kind = layout.kinds[entry]
  return (kind === EntryKind.regular || kind === EntryKind.executable) && layout.sizes[entry]! > 0
}

/** The base's entry of whatever kind at the same path. */
function matchPaths(base: Layout, target: Layout): Int32Array {
  const children = new Map<string, number>()
  for (let entry = 1; entry < base.entries; entry++)
    children.set(`${base.parents[entry]}/${nameOf(base, entry)}`, entry)
  const matches = new Int32Array(target.entries).fill(noPartner)
  matches[0] = 0
  for (let entry = 1; entry < target.entries; entry++) {
    const parent = matches[target.parents[entry]!]!
    if (parent !== noPartner) matches[entry] = children.get(`${parent}/${nameOf(target, entry)}`) ?? noPartner
  }
  return matches
}

class LikeFiles {
  readonly #byPath = new Map<string, FilesBySize>()
  readonly #byName = new Map<string, FilesBySize>()

  constructor(base: Layout) {
    const paths = new AlikePaths(base)
    for (let entry = 0; entry < base.entries; entry++) {
      if (!hasContent(base, entry)) continue
      add(this.#byPath, paths.of(entry), base, entry)
      add(this.#byName, nameOf(base, entry), base, entry)
    }
  }

  find(path: string, name: string, size: number): number {
    return (this.#byPath.get(path) ?? this.#byName.get(name))?.nearest(size) ?? noPartner
  }
}

function add(map: Map<string, FilesBySize>, key: string, base: Layout, entry: number): void {
  const files = map.get(key)
  if (files === undefined) map.set(key, new FilesBySize(base, entry))
  else files.add(entry)
}

class FilesBySize {
  readonly #sizes: Float64Array
  readonly #entries: number[]
  #isSorted = true

  constructor(layout: Layout, first: number) {
    this.#sizes = layout.sizes
    this.#entries = [first]
  }

  add(entry: number): void {
    this.#entries.push(entry)
    this.#isSorted = false
  }

  nearest(size: number): number {
    if (!this.#isSorted) this.#entries.sort((a, b) => this.#sizes[a]! - this.#sizes[b]! || a - b)
    this.#isSorted = true
    const above = this.#firstFrom(size)
    const next = this.#entries[above]
    const before = this.#entries[above - 1]
    if (before === undefined) return next!
    // Of those before with one size the first.
    const below = this.#entries[this.#firstFrom(this.#sizes[before]!)]!
    if (next === undefined) return below
    const difference = size - this.#sizes[below]! - (this.#sizes[next]! - size)
    return difference < 0 || (difference === 0 && below < next) ? below : next
  }

  /** Index of the first file that has at least this size. */
  #firstFrom(size: number): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#sizes[this.#entries[middle]!]! < size) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Paths in which versions and store hashes are all alike. Those of directories are kept for their entries. */
class AlikePaths {
  readonly #layout: Layout
  readonly #directories = new Map<number, string>()

  constructor(layout: Layout) {
    this.#layout = layout
  }

  of(entry: number): string {
    if (entry === 0) return ''
    return `${this.#directory(this.#layout.parents[entry]!)}/${alike(nameOf(this.#layout, entry))}`
  }

  #directory(entry: number): string {
    let path = this.#directories.get(entry)
    if (path === undefined) {
      path = this.of(entry)
      this.#directories.set(entry, path)
    }
    return path
  }
}

function alike(name: string): string {
  return name.replace(/(?<![0-9a-z])[0-9a-df-np-sv-z]{32}(?![0-9a-z])/g, '#').replace(/\d+(?:\.\d+)*/g, '0')
}

/** One character a byte. */
function nameOf(layout: Layout, entry: number): string {
  return layout.name(entry).toString('latin1')
}
