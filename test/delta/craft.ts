/** Deltas written by hand, right or wrong. */

import type { BaseFile, BaseFiles } from '../../src/delta/base-files.ts'
import { BlockWriter, endOfBlocks } from '../../src/delta/block-writer.ts'
import { decodeDelta } from '../../src/delta/decode.ts'
import { type DeltaHeader, encodeHeader } from '../../src/delta/format.ts'
import { chunksOf, readAll, sha256 } from './deltas.ts'

export const header: DeltaHeader = {
  baseNarHash: sha256(Buffer.from('base')),
  baseNarSize: 1000,
  narHash: sha256(Buffer.from('target')),
  narSize: 100_000_000,
}

/** A delta with one block; `write` fills it. */
export async function craft(write: (block: BlockWriter) => unknown, narSize = header.narSize): Promise<Buffer> {
  const block = new BlockWriter(3)
  await write(block)
  return Buffer.concat([encodeHeader({ ...header, narSize }), ...(await block.take()), endOfBlocks])
}

/** One file at the top, with these content instructions. */
export function craftFile(size: number, write: (block: BlockWriter) => unknown, narSize?: number): Promise<Buffer> {
  return craft(async (block) => {
    block.instructions.regular(Buffer.alloc(0), size, false)
    await write(block)
  }, narSize)
}

/** Files in memory, by path. Remembers what was asked for, and refuses what no decoder may ask. */
export class MemoryFiles implements BaseFiles {
  readonly opened: string[] = []
  openCount = 0
  readonly #files: Readonly<Record<string, Buffer>>

  constructor(files: Readonly<Record<string, Buffer>>) {
    this.#files = files
  }

  async open(path: Buffer): Promise<BaseFile> {
    const text = path.toString('latin1')
    this.opened.push(text)
    const content = this.#files[text]
    if (content === undefined) throw new Error(`There is no ${text}`)
    this.openCount++
    let isOpen = true
    return {
      size: content.length,
      read: async (into, position) => {
        if (!isOpen || position < 0 || position + into.length > content.length)
          throw new RangeError('A decoder read outside of a file')
        content.copy(into, 0, position)
      },
      close: () => {
        if (isOpen) this.openCount--
        isOpen = false
      },
    }
  }
}

/** What comes out, not verified, from a base with these files. */
export function decodeCrafted(delta: Buffer, files: BaseFiles = new MemoryFiles({}), narSize = header.narSize) {
  return readAll(decodeDelta(chunksOf(delta), files, { ...header, narSize }))
}
