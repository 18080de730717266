/** Adapters from Node streams to `ChunkReader`, with or without a decompressor. */
import type { Duplex, Readable, Writable } from 'node:stream'

import type { Chunk, ChunkReader } from './chunks.ts'
import { Fault } from './faults.ts'

/** Rejects with the stream's own errors, and with ERR_STREAM_PREMATURE_CLOSE after it was closed. */
export function streamReader(stream: Readable): ChunkReader {
  const pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  return {
    async next() {
      const { done, value } = await pieces.next()
      return done === true ? undefined : { bytes: value, release() {} }
    },
    close: () => void stream.destroy(),
  }
}

/**
 * Pulls the source through a filter. `next` rejects with the source's fault, or with nar-mismatch if decompression
 * fails. Closing closes both.
 */
export function filteredReader(source: ChunkReader, filter: Duplex): ChunkReader {
  return new FilteredReader(source, filter)
}

/** Without a pipeline and its copies: chunks go to the filter as they are, and are released when it has taken them. */
class FilteredReader implements ChunkReader {
  readonly #source: ChunkReader
  readonly #filter: Duplex
  #error: Error | undefined
  #hasEnded = false
  #wake: () => void = () => {}

  constructor(source: ChunkReader, filter: Duplex) {
    this.#source = source
    this.#filter = filter
    filter.on('readable', () => this.#wake())
    filter.on('end', () => {
      this.#hasEnded = true
      this.#wake()
    })
    filter.on('error', (error) => this.#fail(error))
    filter.on('close', () => {
      if (!this.#hasEnded) this.#fail(new Fault('abandoned', 'The reader was closed'))
    })
    void this.#feed()
  }

  async next(): Promise<Chunk | undefined> {
    for (;;) {
      if (this.#error !== undefined) throw toFault(this.#error)
      const bytes = this.#filter.read() as Buffer | null
      if (bytes !== null) return { bytes, release() {} }
      if (this.#hasEnded) return undefined
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  close(): void {
    this.#source.close()
    this.#filter.destroy()
    this.#fail(new Fault('abandoned', 'The reader was closed'))
  }

  async #feed(): Promise<void> {
    const source = this.#source
    try {
      for (let chunk = await source.next(); chunk !== undefined; chunk = await source.next()) {
        await writeAndRelease(this.#filter, chunk)
        if (this.#filter.destroyed) return source.close()
      }
      this.#filter.end()
    } catch (error) {
      this.#fail(error as Error)
      this.#filter.destroy()
    }
  }

  /** The first error is the cause of the others. */
  #fail(error: Error): void {
    this.#error ??= error
    this.#wake()
  }
}

/**
 * Resolves when the filter has taken the chunk, or was closed. A decompressor that finds its end before the end of the
 * chunk never calls back.
 */
async function writeAndRelease(filter: Duplex, chunk: Chunk): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  filter.once('close', resolve)
  filter.write(chunk.bytes, () => resolve())
  await promise
  filter.off('close', resolve)
  chunk.release()
}

/** A closed reader is not an error of the content. */
function toFault(error: unknown): Fault {
  if (error instanceof Fault) return error
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ABORT_ERR')
    return new Fault('abandoned', 'The reader was closed', { cause: error })
  return new Fault('nar-mismatch', `Cannot decompress a stored NAR: ${(error as Error).message}`, { cause: error })
}

/** Resolves when the stream takes more, or nothing any more. */
export function untilDrainedOrClosed(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done)
      stream.off('close', done)
      resolve()
    }
    stream.on('drain', done)
    stream.on('close', done)
  })
}
