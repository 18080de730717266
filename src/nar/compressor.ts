/**
 * zstd for many NARs at once. A step (one input buffer) runs in libuv's pool while the packer's thread reads and hashes the next one; at most `compressors` steps
 * run at once, first come, first served, so that each compression under way gets its turn after every buffer. The number of contexts is bounded by the memory
 * they take at their level; small NARs need little and have their own, so that they never wait for a large one to end, and fills have their own, so that they
 * never wait for a slow reader.
 *
 * The same NAR, level and zstd version always give the same bytes: the size is pledged, every byte goes in with ZSTD_e_continue and an empty ZSTD_e_end
 * follows. That is why small NARs take the same way: zstdCompressSync ends with its last bytes, and at some sizes (256 KiB for one) comes out different.
 * ZSTD_c_nbWorkers stays 0: node:zlib's stream fails otherwise.
 */
import { constants, createZstdCompress, type ZstdCompress } from 'node:zlib'
import { Semaphore } from './semaphore.ts'

export const inputBytes = 512 * 1024
const smallNarBytes = 1024 * 1024
const smallContexts = 8
const largeContextMegabytes = 96
const mostLargeContexts = 12
/** Megabytes of a context (window, tables, buffers) for the levels up to the given one. Source: the table of parameters in zstd's clevels.h. */
const contextMegabytes = [
  { level: 5, megabytes: 8 },
  { level: 8, megabytes: 12 },
  { level: 10, megabytes: 24 },
  { level: 15, megabytes: 80 },
  { level: 19, megabytes: 110 },
] as const
const utmostMegabytes = 800

/** For whom is compressed: for a file, as fast as it goes, or for one reader, who may be slow. */
export type CompressionUse = 'file' | 'reader'

export class Compressors {
  readonly steps: Semaphore
  readonly #contexts = new Map<string, Semaphore>()
  readonly #buffers: Buffer[] = []

  /** @param count steps at once */
  constructor(count: number) {
    this.steps = new Semaphore(count)
  }

  contexts(use: CompressionUse, narSize: number, level: number): Semaphore {
    const isSmall = narSize <= smallNarBytes
    const count = isSmall ? smallContexts : largeContexts(level)
    const key = `${use} ${isSmall ? 'small' : count}`
    let semaphore = this.#contexts.get(key)
    if (!semaphore) {
      semaphore = new Semaphore(count)
      this.#contexts.set(key, semaphore)
    }
    return semaphore
  }

  takeBuffer(narSize: number): Buffer {
    if (narSize < inputBytes) return Buffer.allocUnsafeSlow(narSize)
    return this.#buffers.pop() ?? Buffer.allocUnsafeSlow(inputBytes)
  }

  giveBuffer(buffer: Buffer): void {
    if (buffer.length === inputBytes && this.#buffers.length < 2 * mostLargeContexts) this.#buffers.push(buffer)
  }
}

function largeContexts(level: number): number {
  const megabytes = contextMegabytes.find((row) => level <= row.level)?.megabytes ?? utmostMegabytes
  return Math.min(mostLargeContexts, Math.max(1, Math.floor(largeContextMegabytes / megabytes)))
}

export function createCompressor(narSize: number, level: number): ZstdCompress {
  const chunkSize = Math.max(1024, Math.min(narSize, inputBytes) + 1024)
  return createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: level }, pledgedSrcSize: narSize, chunkSize })
}
