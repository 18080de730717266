/**
 * One request being answered, on the hot routes and in Express alike: who asks, since when, and the few ways to answer.
 * Replies that are not a success carry the status phrase and nothing else: no path, no cause.
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'

import type { CacheHeaders, RawHeaders } from './cache-headers.ts'
import { clientAddressOf } from './client-address.ts'
import type { Observer, RouteName } from './observer.ts'
import type { Identity } from './user.ts'

export class Reply {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly address: string
  route: RouteName = 'other'
  identity: Identity | undefined
  /** Body bytes handed to the socket so far. */
  bytes = 0
  readonly #cacheHeaders: CacheHeaders
  readonly #startedMs: number

  constructor(request: IncomingMessage, response: ServerResponse, cacheHeaders: CacheHeaders, observer: Observer, monotonicMs: () => number) {
    this.request = request
    this.response = response
    this.address = clientAddressOf(request)
    this.#cacheHeaders = cacheHeaders
    this.#startedMs = monotonicMs()
    // Nothing here reads a request body: a connection on which one is still to come cannot be used again.
    if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined) response.shouldKeepAlive = false
    response.once('close', () => {
      observer.exchanged({
        route: this.route,
        method: request.method ?? '',
        target: (request.url ?? '').slice(0, 512),
        status: response.headersSent ? response.statusCode : 0,
        user: this.identity?.name,
        address: this.address,
        ray: rayOf(request),
        bytes: this.bytes,
        durationMs: monotonicMs() - this.#startedMs,
        isComplete: response.writableFinished,
      })
    })
  }

  get isHead(): boolean {
    return this.request.method === 'HEAD'
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
    this.response.writeHead(status, [...headers, ...this.#cacheHeaders[kind]])
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
}

function rayOf(request: IncomingMessage): string | undefined {
  const ray = request.headers['cf-ray']
  return typeof ray === 'string' ? ray.slice(0, 64) : undefined
}
