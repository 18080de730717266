/**
 * One request being answered, on the hot routes and in Express alike: who asks, since when, and the few ways to answer.
 * Replies that are not a success carry the status phrase and nothing else: no path, no cause.
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'

import type { CacheHeaders, RawHeaders } from './cache-headers.ts'
import { clientAddressOf } from './client-address.ts'
import type { Observer, RouteName } from './observer.ts'
import { endWithPrepared, type PreparedReply, prepareReply } from './prepared-reply.ts'
import type { Identity } from './user.ts'

export class Reply {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  route: RouteName = 'other'
  identity: Identity | undefined
  /** Body bytes handed to the socket so far. */
  bytes = 0
  readonly #cacheHeaders: CacheHeaders
  readonly #observer: Observer
  readonly #startedMs = performance.now()

  constructor(request: IncomingMessage, response: ServerResponse, cacheHeaders: CacheHeaders, observer: Observer) {
    this.request = request
    this.response = response
    this.#cacheHeaders = cacheHeaders
    this.#observer = observer
    // Nothing here reads a request body: a connection on which one is still to come cannot be used again.
    const { headers } = request
    if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) response.shouldKeepAlive = false
  }

  get address(): string {
    return clientAddressOf(this.request)
  }

  get isHead(): boolean {
    return this.request.method === 'HEAD'
  }

  prepare(kind: keyof CacheHeaders, headers: RawHeaders, body: string): PreparedReply {
    return prepareReply(headers, this.#cacheHeaders[kind], body)
  }

  /** A success known to the last byte, header and all: what the hot case sends. */
  sendPrepared(kind: keyof CacheHeaders, prepared: PreparedReply): void {
    const { response } = this
    if (!isPlainGet(this.request) || !response.shouldKeepAlive) return this.send(200, kind, prepared.headers, prepared.body)
    this.bytes = prepared.bodyBytes
    endWithPrepared(response, prepared)
    this.#report(true)
  }

  /** A whole body at hand. HEAD gets the headers alone. */
  send(status: number, kind: keyof CacheHeaders, headers: RawHeaders, body: string | Uint8Array): void {
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
    this.begin(status, kind, [...headers, 'Content-Length', String(length)])
    if (this.isHead) this.response.end()
    else {
      this.bytes = length
      this.response.end(body)
    }
  }

  /** Status line and headers alone; the caller ends the response. */
  begin(status: number, kind: keyof CacheHeaders, headers: RawHeaders): void {
    const { response } = this
    response.writeHead(status, [...headers, ...this.#cacheHeaders[kind]])
    if (response.closed) this.#report(false)
    else response.once('close', () => this.#report(response.writableFinished))
  }

  /** A refusal or a miss, in plain text; after headers were sent it breaks the transfer instead. */
  refuse(status: number, headers: RawHeaders = []): void {
    if (this.response.headersSent) this.break()
    else this.send(status, 'missed', [...headers, 'Content-Type', 'text/plain; charset=utf-8'], `${STATUS_CODES[status] ?? 'Error'}\n`)
  }

  /** Something that passes: the client is told to try again. */
  postpone(retryAfterSeconds: number, status: 429 | 503 = 503): void {
    this.refuse(status, ['Retry-After', String(retryAfterSeconds)])
  }

  /** Ends the connection so that nobody can take what was sent for the whole. */
  break(): void {
    const { socket } = this.response
    if (socket !== null && 'resetAndDestroy' in socket) socket.resetAndDestroy()
    else this.response.destroy()
  }

  #report(isComplete: boolean): void {
    const { request, response } = this
    this.#observer.exchanged({
      route: this.route,
      method: request.method ?? '',
      target: (request.url ?? '').slice(0, 512),
      status: response.statusCode,
      user: this.identity?.name,
      address: this.address,
      ray: rayOf(request),
      bytes: this.bytes,
      durationMs: performance.now() - this.#startedMs,
      isComplete,
    })
  }
}

function isPlainGet({ method, httpVersionMinor }: IncomingMessage): boolean {
  return method === 'GET' && httpVersionMinor === 1
}

function rayOf(request: IncomingMessage): string | undefined {
  const ray = request.headers['cf-ray']
  return typeof ray === 'string' ? ray.slice(0, 64) : undefined
}
