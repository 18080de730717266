/**
 * One request through one connection: sent once, never again through another, whatever happens to it. What comes back
 * is a reply's head and its body, or the reason why there is none.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2'

import type { Connection } from './connection.ts'
import { readDownload, watchEnd } from './download.ts'
import type { ErrorPage } from './error-pages.ts'
import type { Exchange } from './exchange.ts'
import type { Faults } from './faults.ts'
import { find, type ReplyHead, readConnectorReply } from './reply-head.ts'
import { sendUpload, type UploadEnd } from './upload.ts'
import { Watchdog } from './watchdog.ts'

export interface ForwardOptions {
  readonly connection: Connection
  readonly headers: OutgoingHttpHeaders
  readonly exchange: Exchange
  readonly faults: Faults
  readonly maxBodyBytes: number
  /** Milliseconds the connector may be silent. */
  readonly replyMs: number
  /** Bodies of unknown length are lost, as over QUIC. */
  readonly isQuicLike: boolean
}

export type Forwarded =
  | {
      readonly kind: 'reply'
      readonly head: ReplyHead
      readonly body: AsyncGenerator<Buffer>
      readonly trailers: () => IncomingHttpHeaders | undefined
      readonly abort: () => void
    }
  | { readonly kind: 'error'; readonly page: ErrorPage }

export async function forward(
  request: IncomingMessage,
  response: ServerResponse,
  options: ForwardOptions,
): Promise<Forwarded> {
  const { connection, headers, exchange, faults } = options
  const aborting = new AbortController()
  const abort = () => aborting.abort()
  const watchdog = new Watchdog(options.replyMs, abort)
  const hasBody = carriesBody(request, options.isQuicLike)
  const stream = connection.request(headers, { endStream: !hasBody, signal: aborting.signal })
  stream.on('error', () => {})
  const hasEnded = watchEnd(stream)
  let trailers: IncomingHttpHeaders | undefined
  stream.once('trailers', (fields) => {
    trailers = fields
  })
  // An eyeball that leaves resets the stream; nobody reads what would come.
  response.once('close', abort)
  stream.once('close', () => response.off('close', abort))

  let upload: UploadEnd | undefined
  const sending = hasBody ? watchUpload() : undefined
  async function watchUpload(): Promise<void> {
    upload = await sendUpload(request, stream, options.maxBodyBytes, (bytes) => {
      exchange.requestBytes += bytes
      watchdog.arm()
    })
    if (upload === 'too-large' || upload === 'cut') abort()
  }

  watchdog.arm()
  const fields = await headOf(stream)
  watchdog.disarm()
  if (!fields) {
    // A reset may be seen before the reason for it is.
    if (aborting.signal.aborted) await sending
    return { kind: 'error', page: reasonFor(upload, watchdog, connection) }
  }
  const { source, ...head } = readConnectorReply(fields)
  if (source === 'cloudflared' && head.status === 502) {
    abort()
    return { kind: 'error', page: 'bad-gateway' }
  }
  const isBodiless = headers[':method'] === 'HEAD' || head.status === 204 || head.status === 304
  const length = find(head.headers, 'content-length')
  const contentLength = isBodiless || length === undefined ? undefined : Number(length)
  const body = readDownload(stream, { connection, exchange, faults, watchdog, contentLength, hasEnded })
  return { kind: 'reply', head, body, trailers: () => trailers, abort }
}

function carriesBody(request: IncomingMessage, isQuicLike: boolean): boolean {
  const length = request.headers['content-length']
  if (length !== undefined) return Number(length) > 0
  return request.headers['transfer-encoding'] !== undefined && !isQuicLike
}

/** `undefined` when the stream is closed without a reply. */
function headOf(stream: ClientHttp2Stream): Promise<IncomingHttpHeaders | undefined> {
  return new Promise((resolve) => {
    stream.once('response', (headers) => resolve(headers))
    stream.once('close', () => resolve(undefined))
  })
}

function reasonFor(upload: UploadEnd | undefined, watchdog: Watchdog, connection: Connection): ErrorPage {
  if (upload === 'too-large') return 'too-large'
  if (watchdog.hasFired) return 'no-answer'
  return connection.isOpen ? 'odd-answer' : 'bad-gateway'
}
