/** Small readers of chunks, and what several readers need around them. */
import type { Chunk, ChunkReader } from './chunks.ts'
import { Fault } from './faults.ts'

/** Bytes in memory, in one chunk. */
export class BytesReader implements ChunkReader {
  #bytes: Uint8Array | undefined
  #isClosed = false

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  async next(): Promise<Chunk | undefined> {
    if (this.#isClosed) throw new Fault('abandoned', 'Cannot read on: the reader was closed')
    const bytes = this.#bytes
    this.#bytes = undefined
    return bytes === undefined || bytes.byteLength === 0 ? undefined : { bytes, release() {} }
  }

  close(): void {
    this.#isClosed = true
    this.#bytes = undefined
  }
}

/** The same reader, which calls back once, after it was closed. */
export function withCallbackOnClose(reader: ChunkReader, callback: () => void): ChunkReader {
  let isClosed = false
  return {
    next: () => reader.next(),
    close() {
      reader.close()
      if (!isClosed) callback()
      isClosed = true
    },
  }
}

/** Resolves when the first chunk is there, with a reader that begins with it. Rejects as `next` does, and closes then. */
export async function startedReader(reader: ChunkReader): Promise<ChunkReader> {
  let first: Chunk | undefined
  try {
    first = await reader.next()
  } catch (error) {
    reader.close()
    throw error
  }
  return {
    async next() {
      if (first === undefined) return await reader.next()
      const chunk = first
      first = undefined
      return chunk
    },
    close() {
      first?.release()
      first = undefined
      reader.close()
    },
  }
}

/** A copy of each chunk: a pipe keeps chunks longer than their memory is valid. */
export async function* copyChunks(reader: ChunkReader): AsyncGenerator<Buffer> {
  for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
    const copy = Buffer.from(chunk.bytes)
    chunk.release()
    yield copy
  }
}
