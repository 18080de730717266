/**
 * Computes the layout of a store object by walking its directories in steps, so that a tree of a million entries does
 * not block other jobs.
 * Names are bytes, read as latin1 (one character per byte), so that string order equals byte order. Symlinks are never
 * followed.
 */
import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs'
import { Fault } from '../faults.ts'
import { faultOfFile } from './file-faults.ts'
import { Columns, EntryKind, Layout } from './layout.ts'

/** Number of entries between two checks of the clock. */
const entriesBetweenLooks = 32

interface OpenDirectory {
  readonly entry: number
  readonly pathLength: number
  readonly names: readonly string[]
  next: number
}

export class LayoutWalk {
  readonly #realPath: Buffer
  readonly #columns = new Columns()
  readonly #open: OpenDirectory[] = []
  #path: Buffer
  #layout: Layout | undefined

  /** @param realPath absolute; not followed if it is a symlink */
  constructor(realPath: string) {
    this.#realPath = Buffer.from(realPath)
    this.#path = Buffer.alloc(this.#realPath.length + 1024)
    this.#realPath.copy(this.#path)
  }

  /**
   * Runs until `deadline` (`performance.now()`) and returns the layout when it is complete. Throws nar-changed,
   * nar-unreadable, busy.
   */
  step(deadline: number): Layout | undefined {
    if (this.#layout) return this.#layout
    if (this.#columns.entries === 0) this.#add('', 0, this.#realPath.length)
    for (let count = 1; this.#open.length > 0; count++) {
      const directory = this.#open[this.#open.length - 1]!
      const name = directory.names[directory.next++]
      if (name === undefined) this.#open.pop()
      else this.#add(name, directory.entry, this.#enterName(directory, name))
      if (count % entriesBetweenLooks === 0 && performance.now() >= deadline) return undefined
    }
    this.#layout = new Layout(this.#realPath, this.#columns)
    return this.#layout
  }

  /** Appends a name to the path of its directory and returns the length of the path. */
  #enterName(directory: OpenDirectory, name: string): number {
    const end = directory.pathLength + 1 + name.length
    if (end > this.#path.length) {
      const larger = Buffer.alloc(end * 2)
      this.#path.copy(larger, 0, 0, directory.pathLength)
      this.#path = larger
    }
    this.#path[directory.pathLength] = 0x2f
    this.#path.write(name, directory.pathLength + 1, 'latin1')
    return end
  }

  #add(name: string, parent: number, pathLength: number): void {
    const path = this.#path.subarray(0, pathLength)
    try {
      const stats = lstatSync(path)
      if (stats.isFile())
        this.#columns.add(name, stats.mode & 0o100 ? EntryKind.executable : EntryKind.regular, stats.size, parent)
      else if (stats.isSymbolicLink()) this.#addSymlink(name, parent, path)
      else if (stats.isDirectory()) this.#addDirectory(name, parent, path)
      else
        throw new Fault(
          'nar-changed',
          `Cannot pack "${path}": it is ${kindOf(stats)}, which a NAR cannot contain; let Nix verify and repair the path`,
        )
    } catch (error) {
      throw error instanceof Fault ? error : faultOfFile(error, 'inspect', path)
    }
  }

  #addSymlink(name: string, parent: number, path: Buffer): void {
    const target = readlinkSync(path, { encoding: 'buffer' })
    this.#columns.add(name, EntryKind.symlink, target.length, parent, target)
  }

  #addDirectory(name: string, parent: number, path: Buffer): void {
    const names = readdirSync(path, { encoding: 'latin1' }).sort()
    const entry = this.#columns.add(name, EntryKind.directory, 0, parent)
    this.#open.push({ entry, pathLength: path.length, names, next: 0 })
  }
}

function kindOf(stats: Stats): string {
  if (stats.isFIFO()) return 'a fifo'
  if (stats.isSocket()) return 'a socket'
  return 'a device'
}
