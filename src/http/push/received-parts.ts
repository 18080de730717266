/** Receives what the push protocol uploads: parts of large NARs, and batches of small ones. */
import * as z from 'zod'

import { countParts } from '../../push/protocol.ts'
import { batchLimits, type PushTarget, partLimits } from '../../store/depot/contract.ts'
import type { Reply } from '../reply.ts'
import { pusherOf, refuseClient, refuseJson, sendJson } from './refusals.ts'
import { bodyLength, readPieces } from './request-body.ts'

export const narHash = z.string().regex(/^sha256:[01][0-9a-df-np-sv-z]{51}$/)
export const partBytes = z.int().min(partLimits.min).max(partLimits.max)

export interface PartParams {
  readonly narHash: string
  readonly narSize: string
  readonly partBytes: string
  readonly index: string
}

export async function putPart(depot: PushTarget, reply: Reply, params: PartParams): Promise<void> {
  const { request } = reply
  const bodyBytes = bodyLength(request)
  const digest = digestOf(request.headers['content-digest'])
  const part = z.object({ narHash, narSize: z.int().positive(), partBytes, index: z.int().min(0) }).safeParse({
    narHash: `sha256:${params.narHash}`,
    narSize: toInteger(params.narSize),
    partBytes: toInteger(params.partBytes),
    index: toInteger(params.index),
  })
  if (!part.success || part.data.index >= countParts(part.data.narSize, part.data.partBytes))
    return refuseJson(reply, 404, 'No such part')
  if (!bodyBytes) return refuseJson(reply, 411, 'A part requires a Content-Length')
  if (digest === undefined)
    return refuseJson(reply, 400, 'A part requires Content-Digest: sha-256=:<base64>: (RFC 9530)')
  const encoding = request.headers['content-type'] === 'application/gzip' ? 'gzip' : 'zstd'
  const received = await depot.putPart(
    { ...part.data, bodyBytes, digest, encoding, who: pusherOf(reply, 'burrow') },
    readPieces(request),
  )
  switch (received.status) {
    case 'refused':
      return received.code === 'cut' ? reply.break() : refuseClient(reply, received)
    case 'complete':
      return refuseJson(reply, 409, 'This NAR is already complete')
    default:
      reply.send(received.status === 'stored' ? 201 : 200, 'missed', [], '')
  }
}

export async function putBatch(depot: PushTarget, reply: Reply): Promise<void> {
  const { request } = reply
  const bodyBytes = bodyLength(request)
  const digest = digestOf(request.headers['content-digest'])
  if (!bodyBytes || bodyBytes > batchLimits.bodyBytes)
    return refuseJson(
      reply,
      bodyBytes ? 413 : 411,
      `A batch requires a Content-Length of at most ${batchLimits.bodyBytes}`,
    )
  if (digest === undefined)
    return refuseJson(reply, 400, 'A batch requires Content-Digest: sha-256=:<base64>: (RFC 9530)')
  const received = await depot.putBatch({ bodyBytes, digest, who: pusherOf(reply, 'burrow') }, readPieces(request))
  if ('status' in received) return received.code === 'cut' ? reply.break() : refuseClient(reply, received)
  for (const one of received) if (one.status === 'refused') reply.noteRefused(one.reason)
  sendJson(reply, { entries: received.map((one) => toBatchEntry(one)) })
}

function toBatchEntry(received: Exclude<Awaited<ReturnType<PushTarget['putBatch']>>, { status: 'refused' }>[number]) {
  if (received.status === 'refused') return { status: 'refused', reason: received.reason }
  return { narHash: received.narHash, status: received.status === 'stored' ? 'stored' : 'present' }
}

function toInteger(text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
}

/** The base64 of `sha-256=:<base64>:` (RFC 9530). */
function digestOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? /(?:^|,\s*)sha-256=:([A-Za-z0-9+/]{43}=):/.exec(header)?.[1] : undefined
}
