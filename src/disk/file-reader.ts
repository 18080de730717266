/**
 * Reads a range of a kept or growing file in chunks, some reads ahead, and hands the last chunk out only after the
 * whole file was found right. If a growing file cannot be finished because there is no room, the reader goes on by a
 * compression of its own from where it stands: the same NAR, level and zstd always give the same bytes.
 */
import { createHash, type Hash } from 'node:crypto'

import type { ByteRange, Chunk, ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import { encodeNix32 } from '../nix/nix32.ts'
import type { ChunkBuffers } from './chunk-buffers.ts'
import type { Source } from './file-source.ts'

/** Makes the rest of the bytes for one reader alone. `end` is undefined when it is not known. */
export type OpenRest = (start: number, end: number | undefined) => ChunkReader

interface Block {
  readonly buffer: Buffer
  readonly length: number
}

export class FileReader implements ChunkReader {
  readonly #source: Source
  readonly #buffers: ChunkBuffers
  readonly #openRest: OpenRest
  readonly #leaveBuffers: () => void
  readonly #unsubscribe: () => void
  readonly #end: number | undefined
  readonly #hash: Hash | undefined
  /** Where the next read begins, and the next chunk to hand out. */
  #readAt: number
  #handedOutTo: number
  #ahead: Promise<Block>[] = []
  #readsUnderWay = 0
  #rest: ChunkReader | undefined
  #wake: (() => void) | undefined
  #isDetached = false
  #isClosed = false

  constructor(source: Source, range: ByteRange | undefined, buffers: ChunkBuffers, openRest: OpenRest) {
    this.#source = source
    this.#buffers = buffers
    this.#openRest = openRest
    this.#readAt = this.#handedOutTo = range?.start ?? 0
    this.#end = range?.end
    this.#hash = range === undefined && source.wantsHash ? createHash('sha256') : undefined
    this.#leaveBuffers = buffers.enter()
    this.#unsubscribe = source.onChange(() => this.#wake?.())
  }

  async next(): Promise<Chunk | undefined> {
    if (this.#isClosed) throw closedFault()
    try {
      return this.#rest === undefined ? await this.#nextFromFile() : await this.#rest.next()
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#rest?.close()
    this.#detach()
    this.#wake?.()
  }

  async #nextFromFile(): Promise<Chunk | undefined> {
    for (;;) {
      if (this.#isClosed) throw closedFault()
      const { outcome } = this.#source
      if (outcome?.kind === 'fault') throw outcome.fault
      this.#startReads()
      const block = this.#ahead.shift()
      if (block !== undefined) return await this.#handOut(await block)
      if (this.#knownEnd !== undefined && this.#handedOutTo >= this.#knownEnd) return undefined
      if (outcome?.kind === 'unkept') return await this.#continueByRest(outcome.measured?.fileSize)
      if (outcome?.kind === 'whole')
        throw new Fault('larder-damaged', `Cannot read a range up to ${this.#end}: the file has ${outcome.size} bytes`)
      await this.#change()
    }
  }

  get #knownEnd(): number | undefined {
    return this.#end ?? this.#source.size
  }

  #startReads(): void {
    const { outcome, readableBytes } = this.#source
    if (outcome !== undefined && outcome.kind !== 'whole') return
    const limit = Math.min(readableBytes, this.#knownEnd ?? readableBytes)
    while (this.#ahead.length < this.#buffers.depth && this.#readAt < limit) {
      const block = this.#read(this.#readAt, limit - this.#readAt)
      block.catch(() => {})
      this.#ahead.push(block)
    }
  }

  async #read(position: number, available: number): Promise<Block> {
    const file = this.#source.file!
    const buffer = this.#buffers.take(available)
    const length = Math.min(buffer.length, available)
    this.#readAt = position + length
    this.#readsUnderWay++
    try {
      const count = await file.read(buffer, length, position)
      if (count < length) throw new Error(`It ends at ${position + count}`)
      return { buffer, length }
    } catch (error) {
      this.#buffers.giveBack(buffer)
      throw this.#source.condemn(error)
    } finally {
      this.#readsUnderWay--
      this.#leaveWhenIdle()
    }
  }

  async #handOut({ buffer, length }: Block): Promise<Chunk | undefined> {
    const end = this.#handedOutTo + length
    const isLast = () => this.#knownEnd !== undefined && end >= this.#knownEnd
    while (isLast() && this.#source.outcome === undefined && !this.#isClosed) await this.#change()
    const { outcome } = this.#source
    if (this.#isClosed || (isLast() && outcome?.kind !== 'whole')) {
      this.#buffers.giveBack(buffer)
      if (this.#isClosed) throw closedFault()
      if (outcome?.kind === 'unkept') return await this.#continueByRest(outcome.measured?.fileSize)
      throw outcome?.kind === 'fault' ? outcome.fault : closedFault()
    }
    this.#hash?.update(buffer.subarray(0, length))
    if (isLast() || !this.#source.isUnchanged()) await this.#confirm(buffer, isLast())
    this.#handedOutTo = end
    return { bytes: buffer.subarray(0, length), release: once(() => this.#buffers.giveBack(buffer)) }
  }

  async #confirm(buffer: Buffer, isLast: boolean): Promise<void> {
    try {
      const digest = isLast ? this.#hash?.digest() : undefined
      await this.#source.confirm(digest && encodeNix32(digest))
      if (this.#isClosed) throw closedFault()
    } catch (error) {
      this.#buffers.giveBack(buffer)
      throw error
    }
  }

  async #continueByRest(size: number | undefined): Promise<Chunk | undefined> {
    this.#detach()
    this.#rest = this.#openRest(this.#handedOutTo, this.#end ?? size)
    return await this.#rest.next()
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#wake = undefined
  }

  /**
   * Lets go of the file. Reads under way still write into their buffers, so file and buffers are given back only when
   * they are done.
   */
  #detach(): void {
    if (this.#isDetached) return
    this.#isDetached = true
    this.#unsubscribe()
    for (const block of this.#ahead.splice(0)) {
      block.then(
        ({ buffer }) => this.#buffers.giveBack(buffer),
        () => {},
      )
    }
    this.#leaveWhenIdle()
  }

  #leaveWhenIdle(): void {
    if (!this.#isDetached || this.#readsUnderWay > 0) return
    this.#leaveBuffers()
    this.#source.leave()
  }
}

function closedFault(): Fault {
  return new Fault('abandoned', 'Cannot read on: the reader was closed')
}

/** A chunk released twice would give its memory to two readers. */
function once(release: () => void): () => void {
  let isReleased = false
  return () => {
    if (isReleased) return
    isReleased = true
    release()
  }
}
