/**
 * The files of a tree, opened one at a time. Each must still have the size in the layout, otherwise reading fails;
 * content is never padded or truncated. A file is opened with O_NOFOLLOW, and only after all its parent directories up
 * to the top were found to still be directories, so symlinks cannot lead outside the store object.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, read, readSync } from 'node:fs'

import { Fault } from '../faults.ts'
import { faultOfFile } from './file-faults.ts'
import type { Layout } from './layout.ts'

/** O_NONBLOCK: opening a path that has become a fifo must not block. */
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Throws nar-changed, nar-unreadable or busy. A file that is open then stays so until `close`. */
export class TreeFile {
  readonly #layout: Layout
  readonly #isDirectory: Uint8Array
  /** Of the open file. */
  #entry = -1
  #fd = -1
  #directory = -1
  #directoryPath: Buffer
  #path: Buffer

  constructor(layout: Layout) {
    this.#layout = layout
    this.#isDirectory = new Uint8Array((layout.entries + 7) >>> 3)
    this.#directoryPath = layout.realPath
    this.#path = Buffer.alloc(layout.realPath.length + 512)
  }

  get isOpen(): boolean {
    return this.#fd !== -1
  }

  open(entry: number): void {
    this.#open(entry)
    this.#requireSize()
  }

  /** At least one byte, at most `length`, of the open file. */
  read(into: Uint8Array, at: number, length: number, position: number): number {
    const count = this.#tryRead(into, at, length, position)
    if (count === 0) throw this.#changed(`it ends after ${position} of ${this.#size} bytes`)
    return count
  }

  /** Reads the open file in libuv's thread pool. `done` receives the number of bytes or a Fault. */
  readAhead(into: Uint8Array, position: number, done: (result: number | Fault) => void): void {
    read(this.#fd, into, 0, into.length, position, (error, count) => {
      if (error) done(faultOfFile(error, 'read', this.#layout.pathOf(this.#entry)))
      else if (count === 0) done(this.#changed(`it ends after ${position} bytes`))
      else done(count)
    })
  }

  /** One read that asks for one byte more than expected: the result reveals the size and saves an `fstat`. */
  readWhole(entry: number, into: Uint8Array, at: number): void {
    this.#open(entry)
    const size = this.#size
    let count = 0
    for (let more = -1; more !== 0 && count <= size; count += more)
      more = this.#tryRead(into, at + count, size + 1 - count, count)
    if (count !== size)
      throw this.#changed(
        count > size ? `it has more than its ${size} bytes` : `it ends after ${count} of ${size} bytes`,
      )
    this.close()
  }

  /** Checks the size once more, and closes the file. */
  finish(): void {
    this.#requireSize()
    this.close()
  }

  close(): void {
    if (this.#fd === -1) return
    closeSync(this.#fd)
    this.#fd = -1
  }

  get #size(): number {
    return this.#layout.sizes[this.#entry]!
  }

  #requireSize(): void {
    const size = this.#size
    const stats = fstatSync(this.#fd)
    if (!stats.isFile()) throw this.#changed('it is no longer a regular file')
    if (stats.size !== size) throw this.#changed(`it has ${stats.size} bytes, not ${size}`)
  }

  #tryRead(into: Uint8Array, at: number, length: number, position: number): number {
    try {
      return readSync(this.#fd, into, at, length, position)
    } catch (error) {
      throw faultOfFile(error, 'read', this.#layout.pathOf(this.#entry))
    }
  }

  #open(entry: number): void {
    const path = this.#pathOf(entry)
    this.#entry = entry
    try {
      this.#fd = openSync(path, openFlags)
    } catch (error) {
      throw faultOfFile(error, 'open', path)
    }
  }

  /** Path of an entry, in memory that the next call overwrites. */
  #pathOf(entry: number): Buffer {
    const layout = this.#layout
    if (entry === 0) return layout.realPath
    const directory = layout.parents[entry]!
    if (directory !== this.#directory) {
      this.#requireDirectory(directory)
      this.#directory = directory
      this.#directoryPath = layout.pathOf(directory)
      if (this.#path.length < this.#directoryPath.length + 512)
        this.#path = Buffer.alloc(this.#directoryPath.length + 1024)
      this.#directoryPath.copy(this.#path)
      this.#path[this.#directoryPath.length] = 0x2f
    }
    const start = this.#directoryPath.length + 1
    const nameStart = layout.nameStarts[entry]!
    const length = layout.names.copy(this.#path, start, nameStart, nameStart + layout.nameLength(entry))
    return this.#path.subarray(0, start + length)
  }

  /** Checks each directory once per read, from the top down. */
  #requireDirectory(entry: number): void {
    const bit = 1 << (entry & 7)
    if ((this.#isDirectory[entry >>> 3]! & bit) !== 0) return
    if (entry !== 0) this.#requireDirectory(this.#layout.parents[entry]!)
    const path = this.#layout.pathOf(entry)
    let isDirectory: boolean
    try {
      isDirectory = lstatSync(path).isDirectory()
    } catch (error) {
      throw faultOfFile(error, 'inspect', path)
    }
    if (!isDirectory) throw new Fault('nar-changed', `Cannot pack "${path}": it is no longer a directory`)
    this.#isDirectory[entry >>> 3]! |= bit
  }

  #changed(how: string): Fault {
    return new Fault(
      'nar-changed',
      `Cannot pack "${this.#layout.pathOf(this.#entry)}": ${how}; let Nix verify and repair the path`,
    )
  }
}
