/**
 * The index of kept files, in memory: what is there, in which order it was used, and how much disk it takes.
 * Files of the current recipe are found by NAR hash; those of other recipes are only there for clients that remember
 * them, and are the first to go.
 */

import { neverRead, type Proof } from '../disk/file-stamp.ts'
import type { OpenFile } from '../disk/open-files.ts'
import type { CompressedNar } from '../nar/contract.ts'
import type { Check } from './check.ts'
import { isDeltaRecipe, parseKeptName, toDiskBytes } from './file-name.ts'

/** Hashes bare. Small on purpose: there may be a million of them. */
export class KeptFile {
  readonly name: string
  readonly narHash: string
  readonly fileSize: number
  readonly recipe: string
  /** Readers that have it open: it is not evicted while there are any. */
  readers = 0
  /** Milliseconds of the last use in this process, 0 when there was none. */
  usedAt = 0
  /** Milliseconds of the last use as the file's own time says, 0 when not known. */
  markedAt = 0
  /** What is known of its bytes in this process; undefined when nothing is. */
  proof: Proof | undefined
  /** The check under way, if one is. */
  check: Check | undefined

  constructor(name: string, narHash: string, recipe: string, fileSize: number) {
    this.name = name
    this.narHash = narHash
    this.recipe = recipe
    this.fileSize = fileSize
  }

  get fileHash(): string {
    return parseKeptName(this.name)!.fileHash
  }

  toCompressedNar(): CompressedNar {
    return { fileHash: `sha256:${this.fileHash}`, fileSize: this.fileSize }
  }
}

export class Shelf {
  readonly #recipe: string
  /**
   * By NAR hash, and deltas by NAR hash and recipe; the order of a Map's keys is the order of use, the least recent
   * first.
   */
  readonly #current = new Map<string, KeptFile>()
  /** By NAR hash and recipe, in the same order. */
  readonly #older = new Map<string, KeptFile>()
  readonly #recipes = new Map<string, string>()
  #bytes = 0
  #pinnedBytes = 0

  constructor(recipe: string) {
    this.#recipe = recipe
  }

  get count(): number {
    return this.#current.size + this.#older.size
  }

  /** Disk space, in whole blocks. */
  get bytes(): number {
    return this.#bytes
  }

  /** Disk space of the files being read, which cannot be evicted now. */
  get pinnedBytes(): number {
    return this.#pinnedBytes
  }

  find(narHash: string): KeptFile | undefined {
    return this.#current.get(narHash)
  }

  /** A delta, or a file of an older recipe. */
  findOther(narHash: string, recipe: string): KeptFile | undefined {
    return (isDeltaRecipe(recipe) ? this.#current : this.#older).get(`${narHash}.${recipe}`)
  }

  holds(file: KeptFile): boolean {
    return this.#mapOf(file).get(this.#keyOf(file)) === file
  }

  /**
   * Puts a file on the shelf as the one used last. Returns undefined when the name is none of a kept file, or there is
   * one for this NAR and recipe already.
   */
  add(name: string): KeptFile | undefined {
    const parts = parseKeptName(name)
    if (parts === undefined) return undefined
    const isCurrent = parts.recipe === this.#recipe
    const file = new KeptFile(
      name,
      parts.narHash,
      isCurrent ? this.#recipe : this.#intern(parts.recipe),
      parts.fileSize,
    )
    const map = this.#mapOf(file)
    const key = this.#keyOf(file)
    if (map.has(key)) return undefined
    map.set(key, file)
    this.#bytes += toDiskBytes(file.fileSize)
    return file
  }

  /**
   * As `add`, for a file that has just been given its name: its bytes are known to be right, unless its contents changed
   * since `modifiedMs`. `now`: milliseconds since 1970, as the times of files are.
   */
  addPublished(name: string, file: OpenFile, modifiedMs: number, now: number): KeptFile | undefined {
    const kept = this.add(name)
    if (kept === undefined) return undefined
    const stamp = file.stamp()
    // Its new name has moved one of the times.
    if (stamp.modifiedMs === modifiedMs) kept.proof = { stamp, readAtMs: neverRead }
    kept.usedAt = kept.markedAt = now
    return kept
  }

  /** Takes the file off, if it still is on the shelf; readers may go on reading it. */
  remove(file: KeptFile): boolean {
    if (!this.holds(file)) return false
    this.#mapOf(file).delete(this.#keyOf(file))
    this.#bytes -= toDiskBytes(file.fileSize)
    if (file.readers > 0) this.#pinnedBytes -= toDiskBytes(file.fileSize)
    return true
  }

  /** Counts readers. */
  pin(file: KeptFile, readers = 1): void {
    if (readers > 0 && file.readers === 0 && this.holds(file)) this.#pinnedBytes += toDiskBytes(file.fileSize)
    file.readers += readers
  }

  unpin(file: KeptFile): void {
    file.readers--
    if (file.readers === 0 && this.holds(file)) this.#pinnedBytes -= toDiskBytes(file.fileSize)
  }

  touch(file: KeptFile, now: number): void {
    file.usedAt = now
    if (!this.holds(file)) return
    const map = this.#mapOf(file)
    const key = this.#keyOf(file)
    map.delete(key)
    map.set(key, file)
  }

  /** The file to evict next: other recipes first, then the least recently used; never one being read. */
  findVictim(): KeptFile | undefined {
    for (const map of [this.#older, this.#current]) {
      for (const file of map.values()) {
        if (file.readers === 0) return file
      }
    }
    return undefined
  }

  /** Sorts by `markedAt` what was not used in this process, and puts it before what was. */
  arrange(): void {
    for (const map of [this.#current, this.#older]) {
      const files = [...map.values()].sort(
        (left, right) => left.usedAt - right.usedAt || left.markedAt - right.markedAt,
      )
      map.clear()
      for (const file of files) map.set(this.#keyOf(file), file)
    }
  }

  *[Symbol.iterator](): Generator<KeptFile> {
    yield* this.#current.values()
    yield* this.#older.values()
  }

  #mapOf(file: KeptFile): Map<string, KeptFile> {
    return file.recipe === this.#recipe || isDeltaRecipe(file.recipe) ? this.#current : this.#older
  }

  #keyOf(file: KeptFile): string {
    return file.recipe === this.#recipe ? file.narHash : `${file.narHash}.${file.recipe}`
  }

  /** One string for all files of a recipe. */
  #intern(recipe: string): string {
    const known = this.#recipes.get(recipe)
    if (known === undefined) this.#recipes.set(recipe, recipe)
    return known ?? recipe
  }
}
