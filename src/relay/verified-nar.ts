/**
 * A NAR on its way to Nix, from the best of several sources. It is hashed as it passes, and its last chunk is held back
 * until the hash is right. If a source fails, the next one takes over at the same byte, after its beginning was found
 * equal to what Nix already has.
 */
import { createHash, type Hash } from 'node:crypto'

import type { Chunk, ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import { formatSha256 } from '../nix/hash.ts'

export interface NarSource {
  /** For logs and statistics. */
  readonly kind: 'delta' | 'whole'
  open(): Promise<ChunkReader>
}

export interface VerifiedNarOptions {
  /** `sha256:<52 Nix32>` */
  readonly narHash: string
  /** Bytes. */
  readonly narSize: number
  /** At least one; the next is opened when one fails. */
  readonly sources: readonly NarSource[]
  /** A source failed; there may be another. */
  readonly onFailure: (source: NarSource, fault: unknown) => void
  /** The NAR was right, and came from this source at last. */
  readonly onVerified: (source: NarSource) => void
}

export class VerifiedNar implements ChunkReader {
  readonly #options: VerifiedNarOptions
  readonly #sources: NarSource[]
  #source: NarSource | undefined
  #reader: ChunkReader | undefined
  /** Of the bytes that were handed out. */
  #hash: Hash = createHash('sha256')
  #handedOut = 0
  #held: Chunk | undefined
  #isOver = false
  #isClosed = false

  constructor(options: VerifiedNarOptions) {
    this.#options = options
    this.#sources = [...options.sources]
  }

  async next(): Promise<Chunk | undefined> {
    for (;;) {
      if (this.#isClosed) throw new Fault('abandoned', 'The NAR is not wanted any more')
      if (this.#isOver) return undefined
      try {
        this.#reader ??= await this.#openNext()
        const chunk = await this.#reader.next()
        const held = this.#held
        if (chunk === undefined) return this.#finish()
        this.#held = chunk
        if (held !== undefined) return this.#handOut(held)
      } catch (error) {
        this.#giveUpSource(error)
      }
    }
  }

  close(): void {
    this.#isClosed = true
    this.#drop()
  }

  async #openNext(): Promise<ChunkReader> {
    this.#source = this.#sources.shift()
    if (this.#source === undefined) throw new Error('There is no source left')
    const reader = await this.#source.open()
    try {
      if (this.#handedOut > 0) await this.#skip(reader)
    } catch (error) {
      reader.close()
      throw error
    }
    if (this.#isClosed) reader.close()
    return reader
  }

  /** Reads what was handed out already, and requires that it is the same. */
  async #skip(reader: ChunkReader): Promise<void> {
    const hash = createHash('sha256')
    for (let left = this.#handedOut; left > 0; ) {
      const chunk = await reader.next()
      if (chunk === undefined) throw new Fault('nar-mismatch', 'The NAR is shorter than what was sent of it already')
      const { bytes } = chunk
      hash.update(bytes.subarray(0, Math.min(left, bytes.byteLength)))
      if (bytes.byteLength > left) this.#held = { bytes: bytes.subarray(left), release: () => chunk.release() }
      else chunk.release()
      left -= Math.min(left, bytes.byteLength)
    }
    if (!hash.digest().equals(this.#hash.copy().digest()))
      throw new Fault('nar-mismatch', 'The NAR begins otherwise than what was sent of it already')
  }

  #handOut(chunk: Chunk): Chunk {
    const { narSize } = this.#options
    if (this.#handedOut + chunk.bytes.byteLength > narSize) {
      chunk.release()
      throw new Fault('nar-mismatch', `The NAR is longer than ${narSize} bytes`)
    }
    this.#hash.update(chunk.bytes)
    this.#handedOut += chunk.bytes.byteLength
    return chunk
  }

  #finish(): Chunk | undefined {
    const { narHash, narSize, onVerified } = this.#options
    const last = this.#held
    const size = this.#handedOut + (last?.bytes.byteLength ?? 0)
    const hash = this.#hash.copy()
    if (last !== undefined) hash.update(last.bytes)
    const found = formatSha256(hash.digest())
    if (size !== narSize || found !== narHash)
      throw new Fault(
        'nar-mismatch',
        `The NAR has ${size} bytes and the hash ${found} instead of ${narSize} bytes and ${narHash}`,
      )
    this.#isOver = true
    this.#held = undefined
    this.#reader?.close()
    onVerified(this.#source!)
    return last
  }

  /** Throws the fault when no source is left. */
  #giveUpSource(error: unknown): void {
    const failed = this.#source
    this.#drop()
    if (this.#isClosed) throw new Fault('abandoned', 'The NAR is not wanted any more')
    if (failed !== undefined) this.#options.onFailure(failed, error)
    if (this.#sources.length === 0) throw error
  }

  #drop(): void {
    this.#held?.release()
    this.#held = undefined
    this.#reader?.close()
    this.#reader = undefined
  }
}
