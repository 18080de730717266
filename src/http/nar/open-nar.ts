/** Opens a NAR for a reply that must start before the deadline. */
import type { ByteRange, ChunkReader } from '../../chunks.ts'
import { Fault } from '../../faults.ts'
import type { Origin } from '../origin.ts'
import { withinDeadline } from '../queue/enqueue.ts'
import type { Reply } from '../reply.ts'
import type { Representation } from './nar-form.ts'

type Opened = Awaited<ReturnType<Representation['open']>>
type First = Awaited<ReturnType<ChunkReader['next']>>

/**
 * Reads the first chunk before the header is sent: an early fault still gets the right status, and a damaged file of the
 * larder is made again.
 */
export async function openWithFirstChunk(
  origin: Origin,
  reply: Reply,
  form: Representation,
  range: ByteRange | undefined,
): Promise<{ readonly opened: Opened; readonly first: First }> {
  const open = async () => {
    const opened = await openInTime(origin, reply, form, range)
    return { opened, first: await firstChunk(origin, reply, opened.chunks) }
  }
  try {
    return await open()
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'larder-damaged') throw error
    origin.log.debug(
      { err: error, target: reply.target },
      'Opening a NAR again: its cached file turned out to be damaged before anything was sent',
    )
    return await open()
  }
}

async function openInTime(
  origin: Origin,
  reply: Reply,
  form: Representation,
  range: ByteRange | undefined,
): ReturnType<Representation['open']> {
  const opening = form.open(range)
  try {
    return await withinDeadline(origin, reply, opening)
  } catch (error) {
    opening.then(
      ({ chunks }) => chunks.close(),
      () => {},
    )
    throw error
  }
}

async function firstChunk(origin: Origin, reply: Reply, chunks: ChunkReader): Promise<First> {
  try {
    return await withinDeadline(origin, reply, chunks.next())
  } catch (error) {
    chunks.close()
    throw error
  }
}
