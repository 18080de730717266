/**
 * Reads a NAR, or a range of it, through its layout into the caller's memory. Reading starts at any offset without
 * reading what comes before.
 */
import type { Fault } from '../faults.ts'
import { EntryKind, type Layout, nodeOpening } from './layout.ts'
import { closing, entryOpening, magic, nodeWord, padded, writeLength } from './tokens.ts'
import { TreeFile } from './tree-file.ts'

/** Tails of up to this many closing parentheses are copied in one piece. */
const bracketsAtOnce = 64
const tails = Buffer.concat([Buffer.alloc(8), ...Array<Buffer>(bracketsAtOnce).fill(closing)])
const opensBetweenLooks = 8

export class NarReader {
  readonly #layout: Layout
  readonly #end: number
  readonly #file: TreeFile
  #entry: number
  /** Offset within the entry. */
  #at: number
  #position: number

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
    this.#file = new TreeFile(layout)
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
      // The range may end inside a file: its size must not have changed.
      if (this.remaining === 0 && this.#file.isOpen) this.#file.finish()
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
    if (!this.#file.isOpen) return false
    const offset = this.#at - this.#layout.headLength(this.#entry)
    if (offset + into.length >= this.#layout.sizes[this.#entry]! || into.length >= this.remaining) return false
    this.#file.readAhead(into, offset, (result) => {
      if (typeof result === 'number') {
        this.#at += result
        this.#position += result
      }
      done(result)
    })
    return true
  }

  close(): void {
    this.#file.close()
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
    if (isWhole && !this.#file.isOpen && into.length - done > size) {
      this.#file.readWhole(this.#entry, into, done)
      return room
    }
    if (!this.#file.isOpen) this.#file.open(this.#entry)
    const count = this.#file.read(into, done, room, offset)
    if (offset + count === size) this.#file.finish()
    return count
  }
}
