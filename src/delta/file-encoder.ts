/**
 * Writes where the content of each file is from: from the base as it is, a frame that refers to the base, a frame by
 * itself, or the pool of small files.
 */
import { Fault } from '../faults.ts'
import type { Layout } from '../nar/layout.ts'
import type { BaseFile } from './base-files.ts'
import type { BlockWriter } from './block-writer.ts'
import { limits, maxDictionaryBytes } from './format.ts'
import { compressFrame, isDictionary } from './frames.ts'
import type { BaseRange, BaseReference } from './instructions.ts'
import { findPartners, hasContent, noPartner } from './partners.ts'
import { Scratch } from './scratch.ts'
import { TreeFiles } from './tree-files.ts'

/** Of what has a partner. Below 10, zstd's tables forget most of the dictionary; above 12 only the time grows. */
export const deltaLevel = 12
/** Of what has none: as a NAR in the larder. */
const plainLevel = 3
/** Larger files are taken in pieces, and so is one with a larger partner. */
const wholeBytes = limits.pieceBytes
const pieceBytes = 8 * 1024 * 1024
/** The partner's bytes before and after a piece's own place. */
const marginBytes = 8 * 1024 * 1024
const poolFileBytes = 64 * 1024
const poolBytes = 256 * 1024
/** Entries that are looked at to fill the pool. */
const poolEntries = 16 * 1024

interface Partner extends BaseReference {
  readonly file: BaseFile
}

export class FileEncoder {
  readonly #base: Layout
  readonly #target: Layout
  readonly #block: BlockWriter
  readonly #baseFiles: TreeFiles
  readonly #targetFiles: TreeFiles
  readonly #partners: Int32Array
  readonly #pool: Buffer[] = []
  readonly #content = new Scratch()
  readonly #other = new Scratch()
  #open: BaseFile[] = []

  constructor(base: Layout, target: Layout, block: BlockWriter) {
    this.#base = base
    this.#target = target
    this.#block = block
    this.#baseFiles = new TreeFiles(base.realPath)
    this.#targetFiles = new TreeFiles(target.realPath)
    this.#partners = findPartners(base, target)
  }

  /**
   * Writes the instructions for a file, and yields its content; it is valid until the next is asked for.
   * @param path of the entry, below the top
   */
  async *encode(entry: number, path: Buffer): AsyncGenerator<Buffer, void, undefined> {
    if (this.#isForPool(entry)) {
      if (this.#pool.length === 0) await this.#fillPool(entry)
      this.#block.instructions.fromPool()
      yield this.#pool.shift()!
      return
    }
    try {
      const file = await this.#openTarget(entry)
      const partner = await this.#openPartner(entry, path)
      if (file.size <= wholeBytes && (partner?.size ?? 0) <= wholeBytes) yield await this.#encodeWhole(file, partner)
      else yield* this.#encodePieces(file, partner)
    } finally {
      this.close()
    }
  }

  close(): void {
    for (const file of this.#open) file.close()
    this.#open = []
  }

  async #encodeWhole(file: BaseFile, partner: Partner | undefined): Promise<Buffer> {
    const content = this.#content.take(file.size)
    await file.read(content, 0)
    if (partner === undefined) {
      await this.#addFrame(content)
      return content
    }
    const range = { path: partner.path, size: partner.size, offset: 0, length: partner.size }
    const other = await this.#readPartner(partner, range)
    if (!other.equals(content)) await this.#addFrame(content, range, other)
    else if (partner.path === undefined) this.#block.instructions.same()
    else this.#block.instructions.copy(range)
    return content
  }

  /** Pieces that are the same in both are gathered to one reference. */
  async *#encodePieces(file: BaseFile, partner: Partner | undefined): AsyncGenerator<Buffer, void, undefined> {
    const count = Math.ceil(file.size / pieceBytes)
    const length = Math.ceil(file.size / count)
    let copied = 0
    for (let offset = 0; offset < file.size; offset += length) {
      const content = this.#content.take(Math.min(length, file.size - offset))
      await file.read(content, offset)
      if (partner !== undefined && (await this.#isSame(content, partner, offset))) {
        copied += content.length
      } else {
        this.#copy(partner, offset - copied, copied)
        copied = 0
        await this.#encodePiece(content, partner, offset, file.size)
      }
      const isLast = offset + content.length === file.size
      if (isLast) this.#copy(partner, file.size - copied, copied)
      yield content
    }
  }

  #copy(partner: Partner | undefined, offset: number, length: number): void {
    if (partner === undefined || length === 0) return
    const isWhole = partner.path === undefined && length === partner.size && offset === 0
    if (isWhole) this.#block.instructions.same()
    else this.#block.instructions.copy({ path: partner.path, size: partner.size, offset, length })
  }

  async #isSame(content: Buffer, partner: Partner, offset: number): Promise<boolean> {
    if (offset + content.length > partner.size) return false
    const { path, size } = partner
    const other = await this.#readPartner(partner, { path, size, offset, length: content.length })
    return other.equals(content)
  }

  /** The dictionary lies around the same place in proportion: what was inserted before is spread over the file. */
  async #encodePiece(content: Buffer, partner: Partner | undefined, offset: number, size: number): Promise<void> {
    if (partner === undefined) return this.#addFrame(content)
    const most = Math.min(maxDictionaryBytes(content.length), content.length + 2 * marginBytes)
    const length = Math.min(partner.size, most)
    const center = ((offset + content.length / 2) / size) * partner.size
    const start = Math.min(Math.max(0, Math.floor(center - length / 2)), partner.size - length)
    const range = { path: partner.path, size: partner.size, offset: start, length }
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
    return (
      this.#partners[entry] === noPartner &&
      hasContent(this.#target, entry) &&
      this.#target.sizes[entry]! <= poolFileBytes
    )
  }

  /** The small files without a partner from this one on, in one frame: they are compressed better together. */
  async #fillPool(first: number): Promise<void> {
    let length = 0
    const end = Math.min(this.#target.entries, first + poolEntries)
    for (let entry = first; entry < end && length < poolBytes; entry++) {
      if (!this.#isForPool(entry)) continue
      const file = await this.#openTarget(entry)
      const content = Buffer.allocUnsafe(file.size)
      await file.read(content, 0)
      this.close()
      this.#pool.push(content)
      length += content.length
    }
    const frame = await compressFrame(Buffer.concat(this.#pool), plainLevel)
    this.#block.instructions.fillPool(length, frame.length)
    this.#block.addFrame(frame)
  }

  async #openTarget(entry: number): Promise<BaseFile> {
    const path = pathBelow(this.#target, entry)
    const file = await this.#targetFiles.open(path)
    this.#open.push(file)
    const size = this.#target.sizes[entry]!
    if (file.size !== size) {
      throw new Fault(
        'nar-changed',
        `Cannot make a delta for "${this.#target.pathOf(entry)}": it has ${file.size} bytes, not ${size}; let Nix verify and repair the path`,
      )
    }
    return file
  }

  async #openPartner(entry: number, targetPath: Buffer): Promise<Partner | undefined> {
    const partner = this.#partners[entry]!
    if (partner === noPartner) return undefined
    const path = pathBelow(this.#base, partner)
    try {
      const file = await this.#baseFiles.open(path)
      this.#open.push(file)
      return { file, path: path.equals(targetPath) ? undefined : path, size: file.size }
    } catch (error) {
      throw baseUnreadable(error)
    }
  }

  async #readPartner({ file }: Partner, { offset, length }: BaseRange): Promise<Buffer> {
    const bytes = this.#other.take(length)
    try {
      await file.read(bytes, offset)
      return bytes
    } catch (error) {
      throw baseUnreadable(error)
    }
  }
}

/** Says nothing against the target. */
function baseUnreadable(error: unknown): Fault {
  return new Fault('absent', `Cannot make a delta: ${(error as Error).message}`, { cause: error })
}

function pathBelow(layout: Layout, entry: number): Buffer {
  return layout.pathOf(entry).subarray(layout.realPath.length + 1)
}
