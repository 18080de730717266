/**
 * `POST /v1/closure`: the narinfos of some paths and of everything they refer to, in one reply, for a relay at the near
 * end. See src/relay/protocol.ts for its form. It says no more than as many requests for narinfos would.
 */
import { once } from 'node:events'
import { Writable } from 'node:stream'
import { constants, createGzip } from 'node:zlib'

import type { Router } from 'express'
import * as z from 'zod'

import { Fault } from '../../faults.ts'
import { parseHashPart } from '../../nix/store-path.ts'
import { type ClosureRequest, maxClosureRoots } from '../../relay/protocol.ts'
import { untilDrainedOrClosed } from '../../stream-reader.ts'
import { answerError, type Origin } from '../origin.ts'
import { refuseUpload } from '../push/refusals.ts'
import { readWhole } from '../push/request-body.ts'
import { createQueue, enqueue } from '../queue/enqueue.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'
import { walkClosure } from './closure-walk.ts'
import type { VersionIndex } from './version-index.ts'

const maxRequestBytes = 64 * 1024
const maxQuestions = 8
const maxWaiting = 512

const closureRequest: z.ZodType<ClosureRequest> = z.object({
  roots: z
    .array(z.string().refine((text) => parseHashPart(text) !== undefined))
    .min(1)
    .max(maxClosureRoots),
  bases: z.boolean().optional(),
})

export function closureRoute(origin: Origin, versions: VersionIndex): Router {
  const queue = createQueue(maxQuestions, maxWaiting)
  return createRouter().post('/v1/closure', async (request) => {
    const reply = replyOf(request)
    reply.route = 'closure'
    reply.uploaded()
    const body = await readWhole(request, maxRequestBytes)
    const wanted = body === undefined ? undefined : parse(body)
    if (wanted === undefined)
      return refuseUpload(reply, 400, 'This is no question for a closure: {"roots": ["<hash part>", …]}')
    await enqueue(origin, reply, queue, () => answer(origin, versions, reply, wanted))
  })
}

function parse(body: Buffer): ClosureRequest | undefined {
  try {
    return closureRequest.safeParse(JSON.parse(body.toString('utf8'))).data
  } catch {
    return undefined
  }
}

async function answer(origin: Origin, versions: VersionIndex, reply: Reply, wanted: ClosureRequest): Promise<void> {
  const isZipped = /\bgzip\b/.test(String(reply.request.headers['accept-encoding'] ?? ''))
  const missed: string[] = []
  reply.missed = missed
  const lines = walkClosure(origin, wanted.bases === true ? versions : undefined, wanted.roots, (root) =>
    missed.push(root),
  )
  try {
    // Whether the stores can be read shows with the first lines, before the header.
    const first = await lines.next()
    reply.begin(200, 'found', [
      'Content-Type',
      'application/jsonl',
      'Vary',
      'Accept-Encoding',
      ...(isZipped ? ['Content-Encoding', 'gzip'] : []),
    ])
    await send(reply, first.value ?? '', lines, isZipped)
  } catch (error) {
    if (reply.response.headersSent) reply.break()
    if (!(error instanceof Fault && error.code === 'abandoned')) answerError(origin, reply, error)
  }
}

async function send(reply: Reply, first: string, lines: AsyncIterator<string>, isZipped: boolean): Promise<void> {
  const { response } = reply
  const counted = new Writable({
    write(chunk: Buffer, _encoding, done) {
      reply.bytes += chunk.length
      if (response.write(chunk)) done()
      else response.once('drain', done)
    },
    final: (done) => void response.end(done),
  })
  const gzip = isZipped ? createGzip({ level: constants.Z_BEST_SPEED }) : undefined
  gzip?.pipe(counted)
  const output = gzip ?? counted
  const gone = () => {
    for (const stream of [output, counted]) stream.destroy(new Fault('abandoned', 'The client closed the connection'))
  }
  for (const stream of [output, counted]) stream.on('error', () => {})
  response.once('close', gone)
  try {
    for (let text: string | undefined = first; text !== undefined; ) {
      if (response.destroyed) throw new Fault('abandoned', 'The client closed the connection')
      if (!output.write(text)) await untilDrainedOrClosed(output)
      // What Nix waits for leaves at once; the rest may fill blocks.
      if (text === first) gzip?.flush(constants.Z_SYNC_FLUSH)
      const next: IteratorResult<string> = await lines.next()
      text = next.done === true ? undefined : next.value
    }
    output.end()
    await once(counted, 'finish')
  } finally {
    response.off('close', gone)
  }
}
