/** Collects instructions and their frames of content until they make a block. */
import { compressFrame } from './frames.ts'
import { InstructionWriter } from './instructions.ts'

/** A block is closed above these, so that neither side holds much more. */
const fullInstructionBytes = 64 * 1024
const fullFrameBytes = 1024 * 1024

export class BlockWriter {
  readonly instructions = new InstructionWriter()
  readonly #level: number
  #frames: Buffer[] = []
  #frameBytes = 0

  constructor(level: number) {
    this.#level = level
  }

  get isFull(): boolean {
    return this.instructions.length >= fullInstructionBytes || this.#frameBytes >= fullFrameBytes
  }

  /** In the order of the instructions that announce them. */
  addFrame(frame: Buffer): void {
    this.#frames.push(frame)
    this.#frameBytes += frame.length
  }

  /** The block as pieces, and begins the next one. Nothing if there is nothing in it. */
  async take(): Promise<Buffer[]> {
    if (this.instructions.length === 0) return []
    const instructions = this.instructions.take()
    const frame = await compressFrame(instructions, this.#level)
    const sizes = Buffer.alloc(8)
    sizes.writeUInt32LE(instructions.length, 0)
    sizes.writeUInt32LE(frame.length, 4)
    const pieces = [Buffer.concat([sizes, frame]), ...this.#frames]
    this.#frames = []
    this.#frameBytes = 0
    return pieces
  }
}

/** What stands in place of a block at the end. */
export const endOfBlocks = Buffer.alloc(4)
