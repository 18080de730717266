/** `/log/<drv>`: the build log of a derivation, in plain text. */
import type { Readable } from 'node:stream'

import type { Router } from 'express'

import type { ChunkReader } from '../../chunks.ts'
import { Fault } from '../../faults.ts'
import { streamReader } from '../../stream-reader.ts'
import { pumpChunks } from '../nar/chunk-pump.ts'
import { answerError, type Origin } from '../origin.ts'
import { createQueue, enqueue, withinDeadline } from '../queue/enqueue.ts'
import { nosniff } from '../raw-headers.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

/** The number of logs that the store decodes at once. */
const maxLogs = 8
const maxWaiting = 512
/** Read before the header is sent: most logs are smaller and get a Content-Length. */
const smallBytes = 64 * 1024

const headers = ['Content-Type', 'text/plain; charset=utf-8', ...nosniff]

export function logRoute(origin: Origin): Router {
  const queue = createQueue(maxLogs, maxWaiting)
  return createRouter().get('/log/:drv', async (request) => {
    const reply = replyOf(request)
    reply.route = 'log'
    const { drv } = request.params
    await enqueue(origin, reply, queue, async () => {
      try {
        const text = await openLog(origin, reply, drv)
        if (text === undefined) reply.refuse(404)
        else await sendLog(origin, reply, streamReader(text))
      } catch (error) {
        if (error instanceof Fault) return answerError(origin, reply, error)
        // The log is gone or damaged.
        origin.log.debug({ err: error, drv }, 'Could not send a whole build log')
        reply.refuse(404)
      }
    })
  })
}

async function openLog(origin: Origin, reply: Reply, drv: string): Promise<Readable | undefined> {
  const opening = origin.stores.openLog(drv)
  try {
    return await withinDeadline(origin, reply, opening)
  } catch (error) {
    opening.then(
      (text) => text?.destroy(),
      () => {},
    )
    throw error
  }
}

async function sendLog(origin: Origin, reply: Reply, chunks: ChunkReader): Promise<void> {
  try {
    const { bytes, isWhole } = await withinDeadline(origin, reply, readBeginning(chunks))
    if (isWhole) return reply.send(200, 'found', headers, bytes)
    reply.begin(200, 'found', headers)
    if (reply.isHead) reply.response.end()
    else await pumpChunks(reply, chunks, { bytes, release() {} })
  } finally {
    chunks.close()
  }
}

async function readBeginning(chunks: ChunkReader): Promise<{ readonly bytes: Uint8Array; readonly isWhole: boolean }> {
  const pieces: Uint8Array[] = []
  for (let length = 0; length <= smallBytes; ) {
    const chunk = await chunks.next()
    if (chunk === undefined) return { bytes: Buffer.concat(pieces), isWhole: true }
    pieces.push(Buffer.from(chunk.bytes))
    chunk.release()
    length += chunk.bytes.byteLength
  }
  return { bytes: Buffer.concat(pieces), isWhole: false }
}
