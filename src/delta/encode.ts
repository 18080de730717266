/**
 * Makes a delta from two file trees on disk. The same trees, level and zstd version always give the same bytes, in any
 * pieces. Memory is bounded by the largest piece, for content, and by the layouts.
 */
import { createHash } from 'node:crypto'
import type { ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import { EntryKind, type Layout } from '../nar/layout.ts'
import { formatSha256 } from '../nix/hash.ts'
import { BlockWriter, endOfBlocks } from './block-writer.ts'
import { deltaLevel, FileEncoder } from './file-encoder.ts'
import { FilePairs } from './file-pairs.ts'
import { encodeHeader } from './format.ts'
import { GeneratedChunks } from './generated-chunks.ts'
import { NarEncoder } from './nar-encoder.ts'

export interface DeltaTree {
  readonly layout: Layout
  /** `sha256:<52 Nix32>` */
  readonly narHash: string
}

/**
 * The last bytes are given only if the target's NAR has its hash. Rejects with nar-mismatch, nar-changed, nar-unreadable
 * or busy for the target, and with absent if the base cannot be read or the target is no tree for a delta. That the
 * base has its hash is not looked at: a decoder with the right base would find out.
 */
export function encodeDelta(base: DeltaTree, target: DeltaTree): ChunkReader {
  return new GeneratedChunks(new DeltaEncoder(base, target).run())
}

const unfit = (how: string) => new Fault('absent', `Cannot make a delta: ${how}`)

class DeltaEncoder {
  readonly #base: DeltaTree
  readonly #target: DeltaTree
  readonly #hash = createHash('sha256')
  readonly #nar = new NarEncoder(unfit)
  readonly #block = new BlockWriter(deltaLevel)

  constructor(base: DeltaTree, target: DeltaTree) {
    this.#base = base
    this.#target = target
  }

  async *run(): AsyncGenerator<Buffer, void, undefined> {
    const { layout } = this.#target
    yield this.#header()
    const pairs = new FilePairs(this.#base.layout, layout)
    const files = new FileEncoder(pairs, this.#block)
    for (let entry = 0, depth = 0; entry < layout.entries; entry++) {
      for (; depth > layout.depths[entry]!; depth--) this.#leave()
      depth = layout.depths[entry]!
      if (this.#openNode(entry) && layout.sizes[entry]! > 0) {
        for await (const content of files.encode(entry)) {
          this.#hash.update(content).update(this.#nar.content(content.length))
          if (this.#block.isFull) yield* await this.#block.take()
        }
      }
      if (layout.kinds[entry] === EntryKind.directory) depth++
      if (this.#block.isFull) yield* await this.#block.take()
    }
    while (!this.#nar.isComplete) this.#leave()
    this.#requireHash()
    yield* await this.#block.take()
    yield endOfBlocks
  }

  #header(): Buffer {
    return encodeHeader({
      baseNarHash: this.#base.narHash,
      baseNarSize: this.#base.layout.narSize,
      narHash: this.#target.narHash,
      narSize: this.#target.layout.narSize,
    })
  }

  /** True for a file: its content follows. */
  #openNode(entry: number): boolean {
    const { layout } = this.#target
    const { instructions } = this.#block
    const name = layout.name(entry)
    const kind = layout.kinds[entry]!
    if (kind === EntryKind.directory) {
      instructions.directory(name)
      this.#hash.update(this.#nar.directory(name))
      return false
    }
    if (kind === EntryKind.symlink) {
      const target = layout.target(entry)
      instructions.symlink(name, target)
      this.#hash.update(this.#nar.symlink(name, target))
      return false
    }
    const isExecutable = kind === EntryKind.executable
    const size = layout.sizes[entry]!
    instructions.regular(name, size, isExecutable)
    this.#hash.update(this.#nar.regular(name, size, isExecutable))
    return true
  }

  #leave(): void {
    this.#block.instructions.leave()
    this.#hash.update(this.#nar.leaveDirectory())
  }

  #requireHash(): void {
    const found = formatSha256(this.#hash.digest())
    if (found === this.#target.narHash) return
    const path = this.#target.layout.realPath
    throw new Fault(
      'nar-mismatch',
      `Cannot make a delta for "${path}": its NAR hashes to ${found}, the store's record says ${this.#target.narHash}`,
    )
  }
}
