/**
 * The last stretch: head and body to the eyeball, recoded as it asked, at its pace. A body that breaks breaks the
 * eyeball's connection.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline, Readable } from 'node:stream'

import { recode } from './compression.ts'
import type { Exchange } from './exchange.ts'
import type { Forwarded } from './forward.ts'
import { find, type HeaderLines, type ReplyHead, without } from './reply-head.ts'
import { untilWritable } from './upload.ts'

export interface Keeping {
  readonly maxBytes: number
  keep(body: Buffer): void
}

export interface ReplyOptions {
  readonly exchange: Exchange
  readonly reply: Extract<Forwarded, { kind: 'reply' }>
  readonly keeping: Keeping | undefined
}

export async function sendReply(
  request: IncomingMessage,
  response: ServerResponse,
  { exchange, reply, keeping }: ReplyOptions,
): Promise<void> {
  const body = keeping ? keepWhile(reply.body, keeping) : reply.body
  if (request.method === 'HEAD') {
    // The edge has asked for the whole body; without a use for it, it hangs up.
    if (keeping) for await (const _ of body);
    else if (exchange.connectorHeaders?.[':method'] === 'GET') reply.abort()
    return sendBody(request, response, exchange, reply.head, [])
  }
  await sendBody(request, response, exchange, reply.head, body, () => reply.trailers())
}

type Body = AsyncIterable<Buffer> | Iterable<Buffer>

export async function sendBody(
  request: IncomingMessage,
  response: ServerResponse,
  exchange: Exchange,
  unrecoded: ReplyHead,
  body: Body,
  trailers?: () => object | undefined,
): Promise<void> {
  const acceptEncoding = request.headers['accept-encoding']
  const { head, createTransform } = recode(unrecoded, typeof acceptEncoding === 'string' ? acceptEncoding : undefined)
  response.writeHead(head.status, toEyeballLines(head.headers, exchange).flat())
  if (request.method === 'HEAD') return void response.end()
  // An eyeball sees at once that the reply has begun. flushHeaders() would send the header lines as UTF-8, which are
  // Latin-1.
  response.write(Buffer.alloc(0))
  const recoded: Body = createTransform ? pipeline(Readable.from(body), createTransform(), () => {}) : body
  for await (const chunk of recoded) {
    if (!response.write(chunk)) await untilWritable(response)
    if (response.destroyed) throw new Error('The eyeball has left')
  }
  const fields = trailers?.()
  if (fields && find(head.headers, 'content-length') === undefined) {
    response.addTrailers(Object.entries(fields).map(([name, value]): [string, string] => [name, String(value)]))
  }
  response.end()
}

function toEyeballLines(headers: HeaderLines, { ray, cacheStatus }: Exchange): HeaderLines {
  const own: [string, string][] = [
    ['Server', 'cloudflare'],
    ['CF-RAY', ray],
  ]
  if (cacheStatus) own.push(['CF-Cache-Status', cacheStatus])
  return [...without(headers, 'server', 'cf-ray', 'cf-cache-status', 'cloudflare-cdn-cache-control'), ...own]
}

/** Passes the body on, and has it kept when it has come to its end and is not too large. */
async function* keepWhile(body: AsyncIterable<Buffer>, { maxBytes, keep }: Keeping): AsyncGenerator<Buffer> {
  let chunks: Buffer[] | undefined = []
  let total = 0
  for await (const chunk of body) {
    total += chunk.length
    if (total > maxBytes) chunks = undefined
    chunks?.push(chunk)
    yield chunk
  }
  if (chunks) keep(Buffer.concat(chunks))
}
