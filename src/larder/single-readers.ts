/**
 * A compression made for one reader alone, which is measured on the way so that its hash and size are known to the
 * next.
 */
import { createHash, type Hash } from 'node:crypto'

import type { Chunk, ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import type { CompressedNar } from '../nar/contract.ts'
import { formatSha256 } from '../nix/hash.ts'
import { maxSmallBytes } from './small-nars.ts'

/** Passes a whole compressed NAR on and measures it. */
export class MeasuringReader implements ChunkReader {
  readonly #inner: ChunkReader
  readonly #measured = Promise.withResolvers<CompressedNar>()
  readonly #hash: Hash = createHash('sha256')
  #size = 0
  #copies: Buffer[] | undefined = []

  constructor(inner: ChunkReader) {
    this.#inner = inner
    this.#measured.promise.catch(() => {})
  }

  /** Resolves when the last chunk was handed out; rejects if that can no longer happen. */
  get measured(): Promise<CompressedNar> {
    return this.#measured.promise
  }

  /** All the bytes, when they were few; to be asked for after `measured`. */
  get smallBytes(): Uint8Array | undefined {
    if (this.#copies === undefined) return undefined
    const bytes = Buffer.allocUnsafeSlow(this.#size)
    let at = 0
    for (const copy of this.#copies) at += copy.copy(bytes, at)
    return bytes
  }

  async next(): Promise<Chunk | undefined> {
    try {
      const chunk = await this.#inner.next()
      if (chunk === undefined)
        this.#measured.resolve({ fileHash: formatSha256(this.#hash.copy().digest()), fileSize: this.#size })
      else this.#add(chunk.bytes)
      return chunk
    } catch (error) {
      this.#measured.reject(error)
      throw error
    }
  }

  close(): void {
    this.#inner.close()
    this.#measured.reject(new Fault('abandoned', 'Cannot measure a compressed NAR: its reader left'))
  }

  #add(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.#size += bytes.byteLength
    if (this.#size > maxSmallBytes) this.#copies = undefined
    this.#copies?.push(Buffer.from(bytes))
  }
}
