/**
 * Writes where the content of each file is from: from the base as it is, a frame that refers to the base, a frame by
 * itself, or the pool of small files.
 */
import type { BaseFile } from './base-files.ts'
import type { BlockWriter } from './block-writer.ts'
import type { FilePairs, Partner } from './file-pairs.ts'
import { limits, maxDictionaryBytes } from './format.ts'
import { compressFrame, isDictionary } from './frames.ts'
import type { BaseRange } from './instructions.ts'
import { Scratch } from './scratch.ts'

/** Of what has a partner. Below 10, zstd's tables forget most of the dictionary; above 12 only the time grows. */
export const deltaLevel = 12
/** Of what has none: as a NAR in the larder. */
const plainLevel = 3
/** Larger files are taken in pieces, and so is one with a larger partner. */
const wholeBytes = limits.pieceBytes
const pieceBytes = 4 * 1024 * 1024
/** The partner's bytes before and after a piece's own place. */
const marginBytes = 2 * 1024 * 1024
const poolFileBytes = 64 * 1024
const poolBytes = 256 * 1024
/** Entries that are looked at to fill the pool. */
const poolEntries = 16 * 1024

export class FileEncoder {
  readonly #pairs: FilePairs
  readonly #block: BlockWriter
  /** Contents that the last fillPool has, and no file yet. */
  readonly #pool: Buffer[] = []
  readonly #content = new Scratch()
  readonly #other = new Scratch()

  constructor(pairs: FilePairs, block: BlockWriter) {
    this.#pairs = pairs
    this.#block = block
  }

  /** Writes the instructions for a file, and yields its content; it is valid until the next is asked for. */
  async *encode(entry: number): AsyncGenerator<Buffer, void, undefined> {
    try {
      if (this.#isForPool(entry)) {
        if (this.#pool.length === 0) await this.#fillPool(entry)
        this.#block.instructions.fromPool()
        yield this.#pool.shift()!
        return
      }
      const file = await this.#pairs.openTarget(entry)
      const partner = await this.#pairs.openPartner(entry)
      if (file.size <= wholeBytes && (partner?.size ?? 0) <= wholeBytes) yield await this.#encodeWhole(file, partner)
      else yield* this.#encodePieces(file, partner)
    } finally {
      this.#pairs.closeFiles()
    }
  }

  async #encodeWhole(file: BaseFile, partner: Partner | undefined): Promise<Buffer> {
    const content = this.#content.take(file.size)
    await file.read(content, 0)
    if (partner === undefined) {
      await this.#addFrame(content)
      return content
    }
    const range = rangeOf(partner, 0, partner.size)
    const other = await this.#readPartner(partner, range)
    if (other.equals(content)) this.#copy(range, file.size)
    else await this.#addFrame(content, range, other)
    return content
  }

  /** Pieces that are the same in both are gathered to one reference. */
  async *#encodePieces(file: BaseFile, partner: Partner | undefined): AsyncGenerator<Buffer, void, undefined> {
    const count = Math.ceil(file.size / pieceBytes)
    const length = Math.ceil(file.size / count)
    let same: BaseRange | undefined
    for (let offset = 0; offset < file.size; offset += length) {
      const content = this.#content.take(Math.min(length, file.size - offset))
      await file.read(content, offset)
      if (partner !== undefined && (await this.#isSame(content, partner, offset))) {
        const start = same?.offset ?? offset
        same = rangeOf(partner, start, offset + content.length - start)
      } else {
        this.#copy(same, file.size)
        same = undefined
        await this.#encodePiece(content, partner, offset, file.size)
      }
      if (offset + content.length === file.size) this.#copy(same, file.size)
      yield content
    }
  }

  #copy(range: BaseRange | undefined, fileSize: number): void {
    if (range === undefined) return
    const isAll = range.length === range.size && range.length === fileSize
    if (range.path === undefined && isAll) this.#block.instructions.same()
    else this.#block.instructions.copy(range)
  }

  async #isSame(content: Buffer, partner: Partner, offset: number): Promise<boolean> {
    if (offset + content.length > partner.size) return false
    return content.equals(await this.#readPartner(partner, rangeOf(partner, offset, content.length)))
  }

  /** The dictionary is taken around the same relative place: what was inserted before is spread over the file. */
  async #encodePiece(content: Buffer, partner: Partner | undefined, offset: number, size: number): Promise<void> {
    if (partner === undefined) return this.#addFrame(content)
    const most = Math.min(maxDictionaryBytes(content.length), content.length + 2 * marginBytes)
    const length = Math.min(partner.size, most)
    const center = ((offset + content.length / 2) / size) * partner.size
    const start = Math.min(Math.max(0, Math.floor(center - length / 2)), partner.size - length)
    const range = rangeOf(partner, start, length)
    await this.#addFrame(content, range, await this.#readPartner(partner, range))
  }

  /** @param dictionary the bytes of the range; left out or shortened where zstd would not take them as content */
  async #addFrame(content: Buffer, range?: BaseRange, dictionary?: Buffer): Promise<void> {
    let offset = 0
    const end = Math.min(dictionary?.length ?? 0, maxDictionaryBytes(content.length))
    while (offset < 2 && dictionary !== undefined && !isDictionary(dictionary.subarray(offset, end))) offset++
    if (range === undefined || dictionary === undefined || offset === 2) {
      const frame = await compressFrame(content, plainLevel)
      this.#block.instructions.compressed(content.length, frame.length)
      this.#block.addFrame(frame)
      return
    }
    const frame = await compressFrame(content, deltaLevel, dictionary.subarray(offset, end))
    const used = { ...range, offset: range.offset + offset, length: end - offset }
    this.#block.instructions.compressed(content.length, frame.length, used)
    this.#block.addFrame(frame)
  }

  #isForPool(entry: number): boolean {
    const size = this.#pairs.loneSize(entry)
    return size !== undefined && size <= poolFileBytes
  }

  /** The small files without a partner from this one on, in one frame: they are compressed better together. */
  async #fillPool(first: number): Promise<void> {
    let length = 0
    const end = Math.min(this.#pairs.entries, first + poolEntries)
    for (let entry = first; entry < end && length < poolBytes; entry++) {
      if (!this.#isForPool(entry)) continue
      const file = await this.#pairs.openTarget(entry)
      const content = Buffer.allocUnsafe(file.size)
      await file.read(content, 0)
      this.#pairs.closeFiles()
      this.#pool.push(content)
      length += content.length
    }
    const frame = await compressFrame(Buffer.concat(this.#pool), plainLevel)
    this.#block.instructions.fillPool(length, frame.length)
    this.#block.addFrame(frame)
  }

  async #readPartner(partner: Partner, { offset, length }: BaseRange): Promise<Buffer> {
    const bytes = this.#other.take(length)
    await partner.read(bytes, offset)
    return bytes
  }
}

function rangeOf({ path, size }: Partner, offset: number, length: number): BaseRange {
  return { path, size, offset, length }
}
