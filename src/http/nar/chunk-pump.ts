/**
 * Moves a body from its producer to the socket, with back-pressure. Two chunks are in flight at once, so that the socket
 * always has data while the next chunk is fetched. If a body cannot be completed, the connection is reset, so that the
 * client cannot mistake it for a complete one.
 */
import type { ChunkReader } from '../../chunks.ts'
import { Fault } from '../../faults.ts'
import type { Reply } from '../reply.ts'

const maxChunksInFlight = 2

/**
 * Sends the chunks and ends the response. The caller has written the header. Resolves when the socket has taken the
 * whole body. Rejects with the producer's Fault after resetting the connection, or with `abandoned` when the client
 * disconnected. Always closes the reader.
 */
export async function pumpChunks(
  reply: Reply,
  chunks: ChunkReader,
  first: Awaited<ReturnType<ChunkReader['next']>>,
): Promise<void> {
  const { response } = reply
  let inFlight = 0
  let wake: (() => void) | undefined
  const gone = () => {
    chunks.close()
    wake?.()
  }
  response.once('close', gone)
  try {
    for (let chunk = first; chunk !== undefined; chunk = await chunks.next()) {
      const { bytes } = chunk
      if (response.destroyed) {
        chunk.release()
        throw new Fault('abandoned', 'The client closed the connection')
      }
      inFlight++
      response.write(bytes, () => {
        inFlight--
        chunk.release()
        wake?.()
      })
      reply.bytes += bytes.byteLength
      while (inFlight >= maxChunksInFlight && !response.destroyed)
        await new Promise<void>((resolve) => (wake = resolve))
    }
    response.end()
  } catch (error) {
    reply.break()
    throw error
  } finally {
    response.off('close', gone)
    chunks.close()
  }
}
