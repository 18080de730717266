/**
 * A packer whose NARs are made up and whose steps the test takes: for the faults and moments that a real one cannot be
 * brought to. Compressed bytes are deterministic noise, so that they are as long as the test wants.
 */
import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'

import type { ByteRange, Chunk, ChunkReader } from '../../src/chunks.ts'
import { Fault } from '../../src/faults.ts'
import type { CompressedNar, Fill, FilledNar, NarRequest, Packer } from '../../src/nar/contract.ts'
import { encodeNix32 } from '../../src/nix/nix32.ts'

export interface MadeUpNar extends NarRequest, CompressedNar {
  readonly compressed: Buffer
}

/** The larder's own guess of what compression makes of a NAR, which is right here. */
const usualRatio = 0.35

const narHashOf = (name: string) => encodeNix32(createHash('sha256').update(name).digest())

const made = new Map<string, MadeUpNar>()

export function makeNar(name: string, fileSize: number): MadeUpNar {
  const key = `${name} ${fileSize}`
  const nar = made.get(key) ?? computeNar(name, fileSize)
  made.set(key, nar)
  return nar
}

function computeNar(name: string, fileSize: number): MadeUpNar {
  const compressed = Buffer.alloc(fileSize)
  for (let at = 0, block = 0; at < fileSize; at += 32, block++)
    createHash('sha256').update(`${name} ${block}`).digest().copy(compressed, at)
  const fileHash = `sha256:${encodeNix32(createHash('sha256').update(compressed).digest())}`
  return {
    realPath: `/made-up/${name}`,
    narHash: `sha256:${narHashOf(name)}`,
    narSize: Math.floor(fileSize / usualRatio),
    compressed,
    fileHash,
    fileSize,
  }
}

/** What a finished fill resolves to, or the fault it rejects with. */
export type Ending = 'whole' | 'unwritten' | Fault

export class StandInFill implements Fill {
  written = 0
  readonly done: Promise<FilledNar>
  readonly nar: MadeUpNar
  readonly path: string
  readonly #listeners = new Set<() => void>()
  readonly #settle = Promise.withResolvers<FilledNar>()
  #fd: number | undefined
  #hasFailed = false
  #isOver = false

  constructor(nar: MadeUpNar, path: string) {
    this.nar = nar
    this.path = path
    this.done = this.#settle.promise
    this.done.catch(() => {})
    try {
      this.#fd = openSync(path, 'wx', 0o600)
    } catch {
      this.#hasFailed = true
    }
  }

  onProgress(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Writes on, up to this many bytes in all. */
  writeTo(end: number): void {
    if (this.#fd === undefined) return
    try {
      for (const stop = Math.min(end, this.nar.fileSize); this.written < stop; ) {
        this.written += writeSync(
          this.#fd,
          this.nar.compressed,
          this.written,
          Math.min(65_536, stop - this.written),
          this.written,
        )
      }
    } catch {
      this.#hasFailed = true
    }
    for (const listener of [...this.#listeners]) listener()
  }

  end(ending: Ending): void {
    if (this.#isOver) return
    this.#isOver = true
    if (ending === 'whole') this.writeTo(this.nar.fileSize)
    const { fileHash, fileSize, compressed } = this.nar
    const fd = this.#fd
    this.#fd = undefined
    if (fd !== undefined) {
      fsyncSync(fd)
      closeSync(fd)
    }
    if (ending instanceof Fault) this.#settle.reject(ending)
    else {
      const bytes = fileSize <= 65_536 ? { bytes: new Uint8Array(compressed) } : {}
      this.#settle.resolve({ fileHash, fileSize, wasWritten: ending === 'whole' && !this.#hasFailed, ...bytes })
    }
    for (const listener of [...this.#listeners]) listener()
  }

  abandon(): void {
    this.end(new Fault('abandoned', 'given up'))
  }
}

export class StandInPacker implements Packer {
  readonly fills: StandInFill[] = []
  /** Compressions made for one reader alone, as asked for. */
  readonly alone: { readonly narHash: string; readonly range: ByteRange | undefined }[] = []
  /** Bytes of a chunk of `openCompressedNar`. */
  chunkBytes = 100_000
  /** When set, fills wait for the test to take their steps. */
  isByHand = false
  readonly #nars = new Map<string, MadeUpNar>()
  readonly #waiting: ((fill: StandInFill) => void)[] = []
  chunksOut = 0

  /** Registers a NAR; its compressed bytes are known to nobody else. */
  make(name: string, fileSize: number): MadeUpNar {
    const nar = makeNar(name, fileSize)
    this.#nars.set(nar.narHash, nar)
    return nar
  }

  /** The next fill to be started. */
  nextFill(): Promise<StandInFill> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  fill(nar: NarRequest, _level: number, tempFile: string): Fill {
    const fill = new StandInFill(this.#nars.get(nar.narHash)!, tempFile)
    this.fills.push(fill)
    if (!this.isByHand) queueMicrotask(() => fill.end('whole'))
    this.#waiting.shift()?.(fill)
    return fill
  }

  openCompressedNar(nar: NarRequest, _level: number, range?: ByteRange): ChunkReader {
    this.alone.push({ narHash: nar.narHash, range })
    const { compressed } = this.#nars.get(nar.narHash)!
    const end = Math.min(range?.end ?? compressed.length, compressed.length)
    let position = range?.start ?? 0
    let isClosed = false
    return {
      next: async (): Promise<Chunk | undefined> => {
        if (isClosed) throw new Fault('abandoned', 'closed')
        if (position >= end) return undefined
        const bytes = compressed.subarray(position, Math.min(end, position + this.chunkBytes))
        position += bytes.length
        this.chunksOut++
        return { bytes, release: () => void this.chunksOut-- }
      },
      close: () => {
        isClosed = true
      },
    }
  }

  openNar(): ChunkReader {
    throw new Error('not used by a larder')
  }

  listJson(): never {
    throw new Error('not used by a larder')
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
