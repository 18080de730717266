/**
 * Moves a body from its producer to the socket. Two chunks are on their way at once, so that the kernel never runs dry
 * while the next one is fetched; a slow client holds back the producer and nothing else. A body that cannot be finished
 * breaks the connection, never ends it.
 */
import type { ChunkReader } from '../../chunks.ts'
import { Fault } from '../../faults.ts'
import type { Reply } from '../reply.ts'

const chunksOnTheirWay = 2

/**
 * Sends the chunks and ends the response; the header was begun. Resolves when the body was taken by the socket whole.
 * Rejects with the producer's Fault after breaking the connection, or with `abandoned` when the client went away.
 * Closes the reader in every case.
 */
export async function pumpChunks(
  reply: Reply,
  chunks: ChunkReader,
  first: Awaited<ReturnType<ChunkReader['next']>>,
): Promise<void> {
  const { response } = reply
  let onTheirWay = 0
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
      onTheirWay++
      response.write(bytes, () => {
        onTheirWay--
        chunk.release()
        wake?.()
      })
      reply.bytes += bytes.byteLength
      while (onTheirWay >= chunksOnTheirWay && !response.destroyed)
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
