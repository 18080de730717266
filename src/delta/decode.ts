/**
 * Makes the NAR from a delta and its base, as the delta arrives. The delta may be anybody's: whatever it says, nothing
 * is written, nothing is opened but regular files of the base, memory stays within what `limits` allows for one piece,
 * and not a byte more than the expected size comes out. That the bytes are right, only the NAR's hash says: see
 * `verifiedReader`.
 */
import type { ChunkReader } from '../chunks.ts'
import type { BaseFiles } from './base-files.ts'
import { ByteSource } from './byte-source.ts'
import { ContentDecoder } from './content-decoder.ts'
import { type DeltaHeader, decodeHeader, headerBytes, limits, maxFrameBytes, Opcode, unusable } from './format.ts'
import { decompressFrame } from './frames.ts'
import { GeneratedChunks } from './generated-chunks.ts'
import { InstructionReader } from './instructions.ts'
import { NarEncoder } from './nar-encoder.ts'

/** Smaller pieces of the NAR are given out together. */
const chunkBytes = 64 * 1024

/**
 * Returns the NAR's bytes. Rejects with delta-unusable if the delta is damaged, is another one than expected, or does
 * not fit to the base; or with the fault of the delta's own reader. Closing closes that reader too.
 */
export function decodeDelta(delta: ChunkReader, base: BaseFiles, expected: DeltaHeader): ChunkReader {
  const source = new ByteSource(delta)
  return new GeneratedChunks(new DeltaDecoder(source, base, expected).run(), () => source.close())
}

class DeltaDecoder {
  readonly #source: ByteSource
  readonly #contents: ContentDecoder
  readonly #expected: DeltaHeader
  readonly #nar = new NarEncoder(unusable)
  /** Bytes of the NAR made so far, and those of them that wait to be given out. */
  #size = 0
  #waiting: Buffer[] = []
  #waitingBytes = 0

  constructor(source: ByteSource, base: BaseFiles, expected: DeltaHeader) {
    this.#source = source
    this.#contents = new ContentDecoder(source, base)
    this.#expected = expected
  }

  async *run(): AsyncGenerator<Buffer, void, undefined> {
    try {
      await this.#requireHeader()
      for (let block = await this.#readBlock(); block !== undefined; block = await this.#readBlock()) {
        while (!block.isAtEnd) {
          const opcode = block.number(Opcode.fromPool)
          if (opcode <= Opcode.executable) this.#add(this.#decodeNode(opcode, block))
          else yield* this.#decodeContent(opcode, block)
          if (this.#waitingBytes >= chunkBytes) yield this.#takeWaiting()
        }
      }
      await this.#requireEnd()
      yield this.#takeWaiting()
    } finally {
      this.#contents.close()
      this.#source.close()
    }
  }

  async #requireHeader(): Promise<void> {
    const header = decodeHeader(await this.#source.read(headerBytes))
    for (const key of ['baseNarHash', 'baseNarSize', 'narHash', 'narSize'] as const)
      if (header[key] !== this.#expected[key])
        throw unusable(`its ${key} is ${header[key]}, and ${this.#expected[key]} is expected`)
  }

  /** Undefined at the end. */
  async #readBlock(): Promise<InstructionReader | undefined> {
    const length = (await this.#source.read(4)).readUInt32LE(0)
    if (length === 0) return undefined
    const frameBytes = (await this.#source.read(4)).readUInt32LE(0)
    if (length > limits.blockBytes || frameBytes > maxFrameBytes(length)) throw unusable('a block is too long')
    return new InstructionReader(await decompressFrame(await this.#source.read(frameBytes), length))
  }

  #decodeNode(opcode: number, block: InstructionReader): Buffer {
    switch (opcode) {
      case Opcode.directory:
        return this.#nar.directory(block.text(limits.nameBytes))
      case Opcode.leave:
        return this.#nar.leaveDirectory()
      case Opcode.symlink:
        return this.#nar.symlink(block.text(limits.nameBytes), block.text(limits.targetBytes))
      case Opcode.regular:
      case Opcode.executable: {
        const name = block.text(limits.nameBytes)
        return this.#nar.regular(name, block.number(this.#expected.narSize), opcode === Opcode.executable)
      }
      default:
        throw unusable(`it has an instruction ${opcode}`)
    }
  }

  async *#decodeContent(opcode: number, block: InstructionReader): AsyncGenerator<Buffer, void, undefined> {
    for await (const content of this.#contents.decode(opcode, block, this.#nar)) {
      // Large content goes out as it is; to join it with what waits would copy it.
      if (content.length >= chunkBytes && this.#waitingBytes > 0) yield this.#takeWaiting()
      this.#add(content)
      if (content.length >= chunkBytes) yield this.#takeWaiting()
      this.#add(this.#nar.content(content.length))
      if (this.#waitingBytes >= chunkBytes) yield this.#takeWaiting()
    }
  }

  #add(bytes: Buffer): void {
    this.#size += bytes.length
    if (this.#size > this.#expected.narSize) throw unusable('its NAR is larger than expected')
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
  }

  #takeWaiting(): Buffer {
    const bytes = this.#waiting.length === 1 ? this.#waiting[0]! : Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#waitingBytes = 0
    return bytes
  }

  async #requireEnd(): Promise<void> {
    if (!this.#nar.isComplete) throw unusable('its NAR ends too early')
    if (this.#size !== this.#expected.narSize) throw unusable('its NAR is smaller than expected')
    this.#contents.requireEmptyPool()
    await this.#source.requireEnd()
  }
}
