/** Moves chunks to a response, with back-pressure. What cannot be finished is broken off, never ended short. */
import type { ServerResponse } from 'node:http'

import type { Chunk, ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import { untilDrainedOrClosed } from '../stream-reader.ts'

/**
 * Leaves out the first `start` bytes. Calls `begin` as soon as there is a byte to send. Rejects with the reader's fault,
 * or with `abandoned` if the client went away. Closes the reader in every case.
 */
export async function sendChunks(
  response: ServerResponse,
  chunks: ChunkReader,
  start: number,
  begin: () => void,
): Promise<void> {
  const close = () => chunks.close()
  response.once('close', close)
  let left = start
  try {
    for (let chunk = await chunks.next(); chunk !== undefined; chunk = await chunks.next()) {
      const skipped = Math.min(left, chunk.bytes.byteLength)
      left -= skipped
      if (skipped === chunk.bytes.byteLength) {
        chunk.release()
        continue
      }
      if (!response.headersSent) begin()
      await write(response, chunk, skipped)
    }
    if (!response.headersSent) begin()
    response.end()
  } finally {
    response.off('close', close)
    chunks.close()
  }
}

async function write(response: ServerResponse, chunk: Chunk, skipped: number): Promise<void> {
  if (response.destroyed) {
    chunk.release()
    throw new Fault('abandoned', 'The client closed the connection')
  }
  const hasRoom = response.write(skipped === 0 ? chunk.bytes : chunk.bytes.subarray(skipped), () => chunk.release())
  if (!hasRoom) await untilDrainedOrClosed(response)
}
