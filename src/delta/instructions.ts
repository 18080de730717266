/**
 * The instructions of a block as bytes: an opcode, then its numbers and texts. Numbers are LEB128 (seven bits a byte,
 * the lowest first) below 2^53; a text is its length as a number, and its bytes.
 */
import { limits, Opcode, unusable } from './format.ts'

/** A file of the base. Its size is compared when it is opened. */
export interface BaseReference {
  /** Undefined: the path of the file that is being written. Never empty. */
  readonly path: Buffer | undefined
  readonly size: number
}

/** A part of a base file. */
export interface BaseRange extends BaseReference {
  readonly offset: number
  readonly length: number
}

const firstBytes = 4096

export class InstructionWriter {
  #bytes: Buffer = Buffer.allocUnsafe(firstBytes)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Returns what was written, and begins again. */
  take(): Buffer {
    const written = Buffer.from(this.#bytes.subarray(0, this.#length))
    this.#length = 0
    return written
  }

  directory(name: Buffer): void {
    this.#number(Opcode.directory)
    this.#text(name)
  }

  leave(): void {
    this.#number(Opcode.leave)
  }

  symlink(name: Buffer, target: Buffer): void {
    this.#number(Opcode.symlink)
    this.#text(name)
    this.#text(target)
  }

  regular(name: Buffer, size: number, isExecutable: boolean): void {
    this.#number(isExecutable ? Opcode.executable : Opcode.regular)
    this.#text(name)
    this.#number(size)
  }

  same(): void {
    this.#number(Opcode.same)
  }

  copy(range: BaseRange): void {
    this.#number(Opcode.copy)
    this.#number(range.length)
    this.#place(range)
  }

  compressed(length: number, frameBytes: number, dictionary?: BaseRange): void {
    this.#number(Opcode.compressed)
    this.#number(length)
    this.#number(frameBytes)
    this.#number(dictionary?.length ?? 0)
    if (dictionary !== undefined) this.#place(dictionary)
  }

  fillPool(length: number, frameBytes: number): void {
    this.#number(Opcode.fillPool)
    this.#number(length)
    this.#number(frameBytes)
  }

  fromPool(): void {
    this.#number(Opcode.fromPool)
  }

  #place({ path, size, offset }: BaseRange): void {
    this.#text(path ?? Buffer.alloc(0))
    this.#number(size)
    this.#number(offset)
  }

  #text(text: Buffer): void {
    this.#number(text.length)
    this.#reserve(text.length)
    this.#length += text.copy(this.#bytes, this.#length)
  }

  #number(value: number): void {
    this.#reserve(8)
    let rest = value
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#bytes[this.#length++] = (rest % 128) | 128
    this.#bytes[this.#length++] = rest
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(2 * (this.#length + length))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

/** Every method throws the fault delta-unusable when the bytes end, or a number or text is above its limit. */
export class InstructionReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  number(max: number): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw unusable('a block ends within an instruction')
      value += (byte & 127) * factor
      if (value > max || factor > 2 ** 49) throw unusable('a number is too large')
      if (byte < 128) return value
    }
  }

  /** A view of the block. */
  text(maxBytes: number): Buffer {
    const length = this.number(maxBytes)
    if (length > this.#bytes.length - this.#at) throw unusable('a block ends within an instruction')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  /** The part of a base file of which `length` is known; it is within the file. */
  place(length: number): BaseRange {
    const path = this.text(limits.pathBytes)
    const size = this.number(Number.MAX_SAFE_INTEGER)
    const offset = this.number(Number.MAX_SAFE_INTEGER)
    if (length > size || offset > size - length) throw unusable('it refers to bytes outside of a file of the base')
    return { path: path.length === 0 ? undefined : path, size, offset, length }
  }
}
