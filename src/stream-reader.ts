/** A Node stream as a body to be pulled, and a body pulled through a decompressor. */
import type { Duplex, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import type { ChunkReader } from './chunks.ts'
import { Fault } from './faults.ts'

/** Rejections are the stream's own errors, and ERR_STREAM_PREMATURE_CLOSE when it was closed. */
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

/** A fault of the source ends the filter and is what `next` rejects with; bytes that cannot be decompressed are nar-mismatch. Closing ends both. */
export function filteredReader(source: ChunkReader, filter: Duplex): ChunkReader {
  const output = streamReader(filter)
  // What goes wrong on the way in destroys the filter, and so is met on the way out.
  pipeline(bytesOf(source), filter).catch(() => source.close())
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

/** Copies, since a pipe keeps chunks for longer than their memory is lent. */
async function* bytesOf(source: ChunkReader): AsyncGenerator<Buffer> {
  for (let chunk = await source.next(); chunk !== undefined; chunk = await source.next()) {
    const copy = Buffer.from(chunk.bytes)
    chunk.release()
    yield copy
  }
}

/** A reader that was closed is no fault of the bytes. */
function toFault(error: unknown): Fault {
  if (error instanceof Fault) return error
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ABORT_ERR') return new Fault('abandoned', 'The reader was closed', { cause: error })
  return new Fault('nar-mismatch', `Cannot decompress a stored NAR: ${(error as Error).message}`, { cause: error })
}
