/** Carries out the instructions for content: gives the bytes of the file that is being written. */
import type { BaseFiles } from './base-files.ts'
import { BaseRanges } from './base-ranges.ts'
import type { ByteSource } from './byte-source.ts'
import { limits, maxDictionaryBytes, maxFrameBytes, Opcode, unusable } from './format.ts'
import { decompressFrame, isDictionary } from './frames.ts'
import type { BaseRange, InstructionReader } from './instructions.ts'
import { Scratch } from './scratch.ts'

/** Of the base, read at once. */
const copyBytes = 256 * 1024

export interface OpenFile {
  /** Below the top. */
  readonly path: Buffer
  /** Bytes that it still lacks. */
  readonly left: number
}

export class ContentDecoder {
  readonly #source: ByteSource
  readonly #base: BaseRanges
  readonly #dictionary = new Scratch()
  #pool: Buffer = Buffer.alloc(0)

  constructor(source: ByteSource, base: BaseFiles) {
    this.#source = source
    this.#base = new BaseRanges(base)
  }

  /** Yields content that the file lacks, never more than that. Rejects with delta-unusable. */
  async *decode(
    opcode: number,
    instructions: InstructionReader,
    file: OpenFile,
  ): AsyncGenerator<Buffer, void, undefined> {
    if (opcode === Opcode.fillPool) return await this.#fillPool(instructions)
    if (file.left === 0) throw unusable('it has content for no file')
    switch (opcode) {
      case Opcode.same:
        return yield* this.#copy({ path: undefined, size: file.left, offset: 0, length: file.left }, file)
      case Opcode.copy:
        return yield* this.#copy(instructions.place(readLength(instructions, file)), file)
      case Opcode.compressed:
        return yield await this.#decompress(instructions, file)
      case Opcode.fromPool:
        return yield this.#takeFromPool(file.left)
      default:
        throw unusable(`it has an instruction ${opcode}`)
    }
  }

  /** Everything was used. */
  requireEmptyPool(): void {
    if (this.#pool.length > 0) throw unusable('content is left over in its pool')
  }

  close(): void {
    this.#base.close()
  }

  async *#copy(range: BaseRange, file: OpenFile): AsyncGenerator<Buffer, void, undefined> {
    await this.#base.open(range, file.path)
    const end = range.offset + range.length
    for (let at = range.offset; at < end; ) {
      const bytes = Buffer.allocUnsafe(Math.min(copyBytes, end - at))
      await this.#base.read(bytes, at)
      at += bytes.length
      yield bytes
    }
  }

  async #decompress(instructions: InstructionReader, file: OpenFile): Promise<Buffer> {
    const length = readLength(instructions, file, limits.pieceBytes)
    const frameBytes = instructions.number(maxFrameBytes(length))
    const dictionaryBytes = instructions.number(maxDictionaryBytes(length))
    const range = dictionaryBytes === 0 ? undefined : instructions.place(dictionaryBytes)
    const frame = await this.#source.read(frameBytes)
    if (range === undefined) return await decompressFrame(frame, length)
    await this.#base.open(range, file.path)
    const dictionary = this.#dictionary.take(dictionaryBytes)
    await this.#base.read(dictionary, range.offset)
    if (!isDictionary(dictionary)) throw unusable('it has a dictionary that is not content')
    return await decompressFrame(frame, length, dictionary)
  }

  async #fillPool(instructions: InstructionReader): Promise<void> {
    this.requireEmptyPool()
    const length = instructions.number(limits.poolBytes)
    if (length === 0) throw unusable('it fills its pool with nothing')
    this.#pool = await decompressFrame(await this.#source.read(instructions.number(maxFrameBytes(length))), length)
  }

  #takeFromPool(length: number): Buffer {
    if (length > this.#pool.length) throw unusable('its pool is too small')
    const content = this.#pool.subarray(0, length)
    this.#pool = this.#pool.subarray(length)
    return content
  }
}

function readLength(instructions: InstructionReader, { left }: OpenFile, max = Number.MAX_SAFE_INTEGER): number {
  const length = instructions.number(Math.min(max, left))
  if (length < Math.min(left, limits.partBytes)) throw unusable('a file is cut into parts that are too small')
  return length
}
