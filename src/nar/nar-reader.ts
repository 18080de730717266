/**
 * Reads a NAR, or a range of it, through its layout into the caller's memory. Reading starts at any offset without
 * reading what comes before.
 * Each file must still have the size in the layout, otherwise reading fails; content is never padded or truncated. A
 * file is opened with O_NOFOLLOW, and only after all its parent directories up to the top were found to still be
 * directories, so symlinks cannot lead outside the store object.
 * At most one file stays open between reads; `close` or the end closes it.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, read, readSync } from 'node:fs'
import { Fault } from '../faults.ts'
import { faultOfFile } from './file-faults.ts'
import { EntryKind, type Layout, nodeOpening } from './layout.ts'
import { closing, entryOpening, magic, nodeWord, padded, writeLength } from './tokens.ts'

/** O_NONBLOCK: opening a path that has become a fifo must not block. */
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** Tails of up to this many closing parentheses are copied in one piece. */
const bracketsAtOnce = 64
const tails = Buffer.concat([Buffer.alloc(8), ...Array<Buffer>(bracketsAtOnce).fill(closing)])
const opensBetweenLooks = 8

export class NarReader {
  readonly #layout: Layout
  readonly #end: number
  readonly #isDirectory: Uint8Array
  #entry: number
  /** Offset within the entry. */
  #at: number
  #position: number
  #fd = -1
  #directory = -1
  #directoryPath: Buffer
  #path: Buffer

  /**
   * @param start offset of the first byte
   * @param end offset after the last byte
   */
  constructor(layout: Layout, start = 0, end = layout.narSize) {
    this.#layout = layout
    this.#position = start
    this.#end = end
    this.#entry = layout.entryAt(start)
    this.#at = start - layout.starts[this.#entry]!
    this.#isDirectory = new Uint8Array((layout.entries + 7) >>> 3)
    this.#directoryPath = layout.realPath
    this.#path = Buffer.alloc(layout.realPath.length + 512)
  }

  /** Number of bytes left to read. */
  get remaining(): number {
    return this.#end - this.#position
  }

  /**
   * Fills `into` and returns the number of bytes: 0 only at the end or if `into` is empty, fewer than its length at the
   * end of the range or when `deadline` (`performance.now()`) has passed. Throws nar-changed, nar-unreadable or busy,
   * and then closes the reader.
   */
  read(into: Uint8Array, deadline = Number.POSITIVE_INFINITY): number {
    const wanted = Math.min(into.length, this.remaining)
    let opened = 0
    let done = 0
    try {
      while (done < wanted) {
        const before = this.#entry
        done += this.#readPart(into, done, wanted)
        if (this.#entry === before || this.#layout.kinds[before] === EntryKind.directory) continue
        if (++opened % opensBetweenLooks === 0 && performance.now() >= deadline) break
      }
      this.#position += done
      if (this.remaining === 0) this.#finish()
    } catch (error) {
      this.close()
      throw error
    }
    return done
  }

  /**
   * Starts to read the next bytes in libuv's thread pool, if they are in the open file and do not reach its end;
   * otherwise returns false. `done` receives the number of bytes or a Fault. Until then, no other method may be called,
   * not even `close`.
   */
  readAhead(into: Uint8Array, done: (result: number | Fault) => void): boolean {
    if (this.#fd === -1) return false
    const offset = this.#at - this.#layout.headLength(this.#entry)
    if (offset + into.length >= this.#layout.sizes[this.#entry]! || into.length >= this.remaining) return false
    read(this.#fd, into, 0, into.length, offset, (error, count) => {
      if (error) done(faultOfFile(error, 'read', this.#layout.pathOf(this.#entry)))
      else if (count === 0) done(this.#changed(`it ends after ${offset} bytes`))
      else {
        this.#at += count
        this.#position += count
        done(count)
      }
    })
    return true
  }

  close(): void {
    if (this.#fd === -1) return
    closeSync(this.#fd)
    this.#fd = -1
  }

  /** Reads as much of the current entry's head, content or tail as fits. */
  #readPart(into: Uint8Array, done: number, wanted: number): number {
    const layout = this.#layout
    const entry = this.#entry
    const head = layout.headLength(entry)
    const size = layout.sizes[entry]!
    const isFile = layout.kinds[entry] === EntryKind.regular || layout.kinds[entry] === EntryKind.executable
    let count: number
    if (this.#at < head) {
      count = this.#copyHead(into, done, wanted, head)
    } else if (this.#at < head + size) {
      const offset = this.#at - head
      const room = Math.min(wanted - done, size - offset)
      count = isFile
        ? this.#readFile(into, done, offset, room, size)
        : layout
            .target(entry)
            .subarray(offset, offset + room)
            .copy(into, done)
    } else {
      // An empty file has no content to read, but must still exist and be empty.
      if (isFile && size === 0 && this.#at === head) this.#readFile(into, done, 0, 0, 0)
      count = this.#copyTail(into, done, wanted, this.#at - head - size)
    }
    this.#at += count
    if (layout.starts[entry]! + this.#at === layout.starts[entry + 1]!) {
      this.#entry++
      this.#at = 0
    }
    return count
  }

  #copyHead(into: Uint8Array, done: number, wanted: number, head: number): number {
    if (this.#at === 0 && wanted - done >= head) {
      this.#writeHead(into, done)
      return head
    }
    const whole = Buffer.alloc(head)
    this.#writeHead(whole, 0)
    return whole.subarray(this.#at, this.#at + wanted - done).copy(into, done)
  }

  #writeHead(into: Uint8Array, start: number): void {
    const layout = this.#layout
    const entry = this.#entry
    const kind = layout.kinds[entry]!
    let at = start
    if (entry === 0) {
      at += magic.copy(into, at)
    } else {
      const length = layout.nameLength(entry)
      const nameStart = layout.nameStarts[entry]!
      at += entryOpening.copy(into, at)
      writeLength(into, at, length)
      layout.names.copy(into, at + 8, nameStart, nameStart + length)
      into.fill(0, at + 8 + length, at + 8 + padded(length))
      at += 8 + padded(length)
      at += nodeWord.copy(into, at)
    }
    at += nodeOpening(kind).copy(into, at)
    if (kind !== EntryKind.directory) writeLength(into, at, layout.sizes[entry]!)
  }

  #copyTail(into: Uint8Array, done: number, wanted: number, at: number): number {
    const size = this.#layout.sizes[this.#entry]!
    const padding = padded(size) - size
    const length = padding + closing.length * this.#layout.closings(this.#entry)
    const room = Math.min(wanted - done, length - at)
    // A very long tail is read piece by piece: after the padding it repeats itself.
    const from = at < padding ? 8 - padding + at : 8 + ((at - padding) % closing.length)
    return tails.copy(into, done, from, Math.min(from + room, tails.length))
  }

  #readFile(into: Uint8Array, done: number, offset: number, room: number, size: number): number {
    const isWhole = offset === 0 && room === size
    if (isWhole && this.#fd === -1 && into.length - done > size) {
      this.#readWholeFile(into, done, size)
      return room
    }
    if (this.#fd === -1) this.#openFile(size)
    const count = this.#tryRead(into, done, room, offset)
    if (count === 0) throw this.#changed(`it ends after ${offset} of ${size} bytes`)
    if (offset + count === size) {
      this.#requireSize(size)
      this.close()
    }
    return count
  }

  /** One read that asks for one byte more than expected: the result reveals the size and saves an `fstat`. */
  #readWholeFile(into: Uint8Array, done: number, size: number): void {
    this.#fd = this.#open()
    let count = 0
    for (let more = -1; more !== 0 && count <= size; count += more)
      more = this.#tryRead(into, done + count, size + 1 - count, count)
    if (count !== size)
      throw this.#changed(
        count > size ? `it has more than its ${size} bytes` : `it ends after ${count} of ${size} bytes`,
      )
    this.close()
  }

  #openFile(size: number): void {
    this.#fd = this.#open()
    this.#requireSize(size)
  }

  #requireSize(size: number): void {
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

  #open(): number {
    const path = this.#filePath()
    try {
      return openSync(path, openFlags)
    } catch (error) {
      throw faultOfFile(error, 'open', path)
    }
  }

  /** Path of the current entry, in memory that the next call overwrites. */
  #filePath(): Buffer {
    const layout = this.#layout
    if (this.#entry === 0) return layout.realPath
    const directory = layout.parents[this.#entry]!
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
    const nameStart = layout.nameStarts[this.#entry]!
    const length = layout.names.copy(this.#path, start, nameStart, nameStart + layout.nameLength(this.#entry))
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

  /** The range may end inside a file: checks that its size has not changed. */
  #finish(): void {
    if (this.#fd !== -1) this.#requireSize(this.#layout.sizes[this.#entry]!)
    this.close()
  }

  #changed(how: string): Fault {
    return new Fault(
      'nar-changed',
      `Cannot pack "${this.#layout.pathOf(this.#entry)}": ${how}; let Nix verify and repair the path`,
    )
  }
}
