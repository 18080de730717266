/**
 * Fixed-size parts of a NAR, read from its file tree. Any part can be read again on its own, without reading the parts
 * before it.
 */
import { createHash } from 'node:crypto'
import { formatSha256 } from '../nix/hash.ts'
import type { Layout } from './layout.ts'
import { LayoutWalk } from './layout-walk.ts'
import { NarReader } from './nar-reader.ts'
import { countParts, sizeOfPart } from './part-ranges.ts'

/** Yield to the event loop after this time. */
const turnMs = 8
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

export class NarParts {
  readonly partBytes: number
  readonly #layout: Layout

  private constructor(layout: Layout, partBytes: number) {
    this.#layout = layout
    this.partBytes = partBytes
  }

  /** Rejects with the faults nar-changed and nar-unreadable. */
  static async open(realPath: string, partBytes: number): Promise<NarParts> {
    const walk = new LayoutWalk(realPath)
    for (;;) {
      const layout = walk.step(performance.now() + turnMs)
      if (layout !== undefined) return new NarParts(layout, partBytes)
      await turn()
    }
  }

  get narSize(): number {
    return this.#layout.narSize
  }

  get count(): number {
    return countParts(this.narSize, this.partBytes)
  }

  /** Rejects with the faults nar-changed and nar-unreadable. */
  async read(index: number): Promise<Buffer> {
    const start = index * this.partBytes
    const end = start + sizeOfPart(this.narSize, this.partBytes, index)
    const reader = new NarReader(this.#layout, start, end)
    const part = Buffer.allocUnsafe(end - start)
    for (let filled = 0; filled < part.length; ) {
      filled += reader.read(part.subarray(filled, filled + 1024 * 1024), performance.now() + turnMs)
      if (filled < part.length) await turn()
    }
    reader.close()
    return part
  }
}

/** Hashes the parts of a NAR in order. */
export class PartsHash {
  readonly #hash = createHash('sha256')

  add(part: Uint8Array): void {
    this.#hash.update(part)
  }

  /** `sha256:<52 Nix32>` */
  digest(): string {
    return formatSha256(this.#hash.digest())
  }
}
