/** Adapters from Node streams to `ChunkReader`, with or without a decompressor. */
import type { Duplex, Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { copyChunks } from './chunk-readers.ts'
import type { ChunkReader } from './chunks.ts'
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
  const output = streamReader(filter)
  // An error of the source destroys the filter, so reading the output reports it.
  pipeline(copyChunks(source), filter).catch(() => source.close())
  return {
    next: () =>
      output.next().catch((error: unknown) => {
        throw toFault(error)
      }),
    close() {
      source.close()
      output.close()
    },
  }
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
