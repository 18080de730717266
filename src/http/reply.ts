/**
 * The ways to answer a request, on the hot routes and in Express. By default, replies that are not a success contain the
 * status phrase only: no path, no cause.
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'

import type { CacheHeaders, Kind } from './cache-headers.ts'
import { ExchangeRecord } from './exchange-record.ts'
import { hasBody } from './has-body.ts'
import type { Observer } from './observer.ts'
import { endWithPrepared, prepareReply } from './prepared-reply.ts'
import type { RawHeaders } from './raw-headers.ts'

/** An error as something else than a line of plain text. */
export interface RenderedError {
  /** With the Content-Type. */
  readonly headers: RawHeaders
  readonly body: string
}

/** Undefined where plain text is right. */
export type RenderError = (reply: Reply, status: number, text: string) => RenderedError | undefined

/** Passed to the observer as the exchange when the reply has ended. */
export class Reply extends ExchangeRecord {
  readonly #cacheHeaders: CacheHeaders
  readonly #observer: Observer
  readonly #renderError: RenderError | undefined

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    cacheHeaders: CacheHeaders,
    observer: Observer,
    renderError?: RenderError,
  ) {
    super(request, response)
    this.#cacheHeaders = cacheHeaders
    this.#observer = observer
    this.#renderError = renderError
    // Most routes do not read the request body, so its connection cannot be reused.
    if (hasBody(request)) response.shouldKeepAlive = false
  }

  /**
   * For routes that read the whole request body before they answer: the connection can be reused.
   */
  uploaded(): void {
    const { headers, httpVersionMinor } = this.request
    if (httpVersionMinor === 1 && headers.connection?.toLowerCase() !== 'close') this.response.shouldKeepAlive = true
  }

  get isHead(): boolean {
    return this.request.method === 'HEAD'
  }

  /**
   * Sends a success that is the same for all clients. It is rendered once, from status line to last byte, and kept as
   * long as `origin`, the object it was made from. For the hot routes.
   */
  sendPrepared(origin: object, kind: Kind, headers: () => RawHeaders, body: string | Uint8Array): void {
    const { response } = this
    if (!isPlainGet(this.request) || !response.shouldKeepAlive) return this.send(200, kind, headers(), body)
    const { prepared } = this.#cacheHeaders
    let reply = prepared.get(origin)
    if (reply === undefined) {
      reply = prepareReply(headers(), this.#cacheHeaders[kind], body)
      prepared.set(origin, reply)
    }
    const { bodyBytes } = reply
    endWithPrepared(response, reply, () => {
      const isSent = !response.destroyed
      if (isSent) this.bytes = bodyBytes
      this.#report(isSent)
    })
  }

  /** Sends a whole body; only its headers for HEAD. */
  send(status: number, kind: Kind, headers: RawHeaders, body: string | Uint8Array): void {
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
    this.begin(status, kind, [...headers, 'Content-Length', String(length)])
    if (this.isHead) this.response.end()
    else {
      this.bytes = length
      this.response.end(body)
    }
  }

  /** Sends status line and headers. The caller ends the response. */
  begin(status: number, kind: Kind, headers: RawHeaders): void {
    const { response } = this
    response.writeHead(status, [...headers, ...this.#cacheHeaders[kind]])
    if (response.closed) this.#report(false)
    else response.once('close', () => this.#report(response.writableFinished))
  }

  /**
   * Answers an error in plain text, by default with the status phrase; people with browsers get a page that says the
   * same. If the header was already sent, it resets the connection instead.
   */
  refuse(status: number, headers: RawHeaders = [], text = STATUS_CODES[status] ?? 'Error'): void {
    if (this.response.headersSent) return this.break()
    const { headers: type, body } = this.#renderError?.(this, status, text) ?? {
      headers: ['Content-Type', 'text/plain; charset=utf-8'],
      body: `${text}\n`,
    }
    this.send(status, 'missed', [...headers, ...this.#resumeHint(status), ...type], body)
  }

  /** Answers a temporary error: the client should try again. */
  postpone(retryAfterSeconds: number, status: 429 | 503 = 503): void {
    this.refuse(status, ['Retry-After', String(retryAfterSeconds)])
  }

  /** Resets the connection, so that the client cannot mistake what it got for the whole body. */
  break(): void {
    // A pipelined reply that waits for others on its connection has no socket yet.
    const socket = this.response.socket ?? this.request.socket
    if ('resetAndDestroy' in socket) socket.resetAndDestroy()
    else this.response.destroy()
  }

  /**
   * Without this header, Nix takes such a reply to a resumed download as missing support for ranges and gives up,
   * instead of trying again.
   */
  #resumeHint(status: number): RawHeaders {
    return (status === 503 || status === 429 || status === 416) && this.request.url?.startsWith('/nar/')
      ? ['Accept-Ranges', 'bytes']
      : []
  }

  #report(isComplete: boolean): void {
    this.end(isComplete)
    this.#observer.exchanged(this)
  }
}

function isPlainGet({ method, httpVersionMinor }: IncomingMessage): boolean {
  return method === 'GET' && httpVersionMinor === 1
}
