/**
 * zstd for many NARs at once. A step (one input buffer) runs in libuv's thread pool while the packer thread reads and
 * hashes the next one. At most `compressors` steps run at once, in FIFO order, so all running compressions advance
 * buffer by buffer. The number of contexts is limited by the memory that they need at their level. Small NARs need
 * little memory and have a separate limit, so they never wait for a large one. Fills have a separate limit too, so they
 * never wait for a slow reader.
 *
 * The same NAR, level and zstd version always produce the same bytes: the size is pledged, all input is passed with
 * ZSTD_e_continue, followed by an empty ZSTD_e_end. Small NARs are compressed the same way, because zstdCompressSync
 * passes the last bytes with ZSTD_e_end, which changes the output at some sizes (for example 256 KiB).
 * ZSTD_c_nbWorkers stays 0: otherwise node:zlib's stream fails.
 */
import { constants, createZstdCompress, type ZstdCompress } from 'node:zlib'
import { Semaphore } from './semaphore.ts'

export const inputBytes = 512 * 1024
const smallNarBytes = 1024 * 1024
const smallContexts = 8
const largeContextMegabytes = 96
const mostLargeContexts = 12
/**
 * Memory of a context (window, tables, buffers) in megabytes, for levels up to the given one. Source: the parameter
 * table in zstd's clevels.h.
 */
const contextMegabytes = [
  { level: 5, megabytes: 8 },
  { level: 8, megabytes: 12 },
  { level: 10, megabytes: 24 },
  { level: 15, megabytes: 80 },
  { level: 19, megabytes: 110 },
] as const
const utmostMegabytes = 800

/** The consumer of the compressed bytes: a file (at full speed) or a single reader (which may be slow). */
export type CompressionUse = 'file' | 'reader'

export class Compressors {
  readonly steps: Semaphore
  readonly #contexts = new Map<string, Semaphore>()
  readonly #buffers: Buffer[] = []

  /** @param count maximum number of concurrent steps */
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
  return createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: level },
    pledgedSrcSize: narSize,
    chunkSize,
  })
}
