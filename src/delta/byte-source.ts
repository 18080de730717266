/** Reads a delta that arrives in any pieces: so many bytes at a time. */
import type { ChunkReader } from '../chunks.ts'
import { unusable } from './format.ts'

export class ByteSource {
  readonly #reader: ChunkReader
  #rest: Buffer = Buffer.alloc(0)

  constructor(reader: ChunkReader) {
    this.#reader = reader
  }

  /** Memory is taken as the bytes arrive. Rejects with delta-unusable if they end before, or with the reader's fault. */
  async read(length: number): Promise<Buffer> {
    const parts: Buffer[] = []
    let missing = length
    while (missing > 0) {
      if (this.#rest.length === 0 && !(await this.#fill())) throw unusable('it ends too early')
      const part = this.#rest.subarray(0, missing)
      this.#rest = this.#rest.subarray(part.length)
      missing -= part.length
      parts.push(part)
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  /** Rejects with delta-unusable if anything follows. */
  async requireEnd(): Promise<void> {
    if (this.#rest.length > 0 || (await this.#fill())) throw unusable('it goes on after its end')
  }

  close(): void {
    this.#reader.close()
  }

  /** Copies: a chunk's memory is lent. False at the end. */
  async #fill(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const chunk = await this.#reader.next()
      if (chunk === undefined) return false
      this.#rest = Buffer.from(chunk.bytes)
      chunk.release()
    }
    return true
  }
}
