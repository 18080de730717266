/**
 * What an eyeball meets: challenge, body limit, cache, then the tunnel. Replies carry `Server: cloudflare`, `CF-RAY`
 * and `CF-Cache-Status`.
 */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'

import { type CacheRule, isEligible, timeToLive } from './cache-policy.ts'
import type { Certificate } from './certificate.ts'
import type { ConnectorSide } from './connector-side.ts'
import type { EdgeCache, Lookup } from './edge-cache.ts'
import { serveKept } from './edge-cache.ts'
import { type ErrorPage, sendErrorPage } from './error-pages.ts'
import type { CacheStatus, Exchange } from './exchange.ts'
import type { Faults } from './faults.ts'
import { type Forwarded, forward } from './forward.ts'
import { find } from './reply-head.ts'
import { pathOf, toConnectorHeaders } from './request-headers.ts'
import { type Keeping, sendBody, sendReply } from './response.ts'

export interface EdgeLimits {
  /** Of a request; 413 beyond. */
  bodyBytes: number
  /** Milliseconds an origin may be silent; 524 after. */
  replyMs: number
  /** The largest reply the cache keeps. */
  cachedBytes: number
}

export interface EyeballSideContext {
  readonly connectors: ConnectorSide
  readonly cache: EdgeCache
  readonly faults: Faults
  readonly limits: EdgeLimits
  readonly location: string
  readonly now: () => number
  readonly cacheRule: () => CacheRule
  readonly isQuicLike: () => boolean
  /** Told instead of the true one, so that eyeballs of one machine can be many. */
  readonly eyeballAddress: () => string | undefined
  readonly record: (exchange: Exchange) => void
  readonly finished: (exchange: Exchange) => void
}

type Reply = Extract<Forwarded, { kind: 'reply' }>

export class EyeballSide {
  readonly #context: EyeballSideContext

  constructor(context: EyeballSideContext) {
    this.#context = context
  }

  createServer() {
    return createServer({ requestTimeout: 0 }, (request, response) => this.#take(request, response))
  }

  createTlsServer(certificate: Certificate) {
    return createTlsServer({ ...certificate, requestTimeout: 0 }, (request, response) => this.#take(request, response))
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const exchange = this.#open(request)
    this.#context.record(exchange)
    request.on('error', () => {})
    response.on('error', () => {})
    response.once('close', () => {
      if (!response.headersSent) exchange.status = 499
      exchange.isFinished = true
      exchange.isComplete = response.writableFinished
      this.#context.finished(exchange)
    })
    this.#answer(request, response, exchange).catch(() => {
      if (response.headersSent) response.socket?.destroySoon()
      else this.#fail(response, exchange, 'odd-answer')
    })
  }

  #open(request: IncomingMessage): Exchange {
    return {
      method: request.method ?? 'GET',
      path: pathOf(request.url ?? '/'),
      ray: `${randomBytes(8).toString('hex')}-${this.#context.location.slice(0, 3).toUpperCase()}`,
      authorization: request.headers.authorization,
      status: 0,
      cacheStatus: undefined,
      fromCache: false,
      connectorHeaders: undefined,
      connIndex: undefined,
      bytes: 0,
      requestBytes: 0,
      isFinished: false,
      isComplete: false,
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse, exchange: Exchange): Promise<void> {
    const { connectors, cache, faults, limits, cacheRule, now } = this.#context
    if (faults.isChallenging) return this.#fail(response, exchange, 'challenge')
    if (Number(request.headers['content-length'] ?? 0) > limits.bodyBytes)
      return this.#fail(response, exchange, 'too-large')
    const isRead = exchange.method === 'GET' || exchange.method === 'HEAD'
    const isCached = isRead && isEligible(exchange.path, cacheRule())
    const lookup = isCached ? cache.find(exchange.path, now()) : undefined
    if (lookup?.kind === 'fresh') return this.#serve(request, response, exchange, lookup)
    const connection = connectors.pick()
    if (!connection) return this.#fail(response, exchange, 'no-connector')

    const address = this.#context.eyeballAddress() ?? (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '')
    const authority = connection.registration?.tunnel.hostname ?? ''
    const method = isCached ? 'GET' : exchange.method
    const headers = toConnectorHeaders(request, {
      method,
      path: exchange.path,
      authority,
      ray: exchange.ray,
      address,
      country: 'GB',
    })
    exchange.connectorHeaders = headers
    exchange.connIndex = connection.registration?.connIndex
    const { bodyBytes: maxBodyBytes, replyMs } = limits
    const isQuicLike = this.#context.isQuicLike()
    const forwarded = await forward(request, response, {
      connection,
      headers,
      exchange,
      faults,
      maxBodyBytes,
      replyMs,
      isQuicLike,
    })
    if (response.destroyed) return
    if (forwarded.kind === 'error') return this.#fail(response, exchange, forwarded.page)
    await this.#pass(request, response, exchange, forwarded, lookup)
  }

  /** Passes the tunnel's reply on, and keeps it where it may be kept. */
  async #pass(
    request: IncomingMessage,
    response: ServerResponse,
    exchange: Exchange,
    reply: Reply,
    lookup: Lookup | undefined,
  ): Promise<void> {
    const { cache, now, limits, cacheRule } = this.#context
    const { status, headers } = reply.head
    const ttl = lookup && timeToLive(status, headers, exchange.authorization !== undefined, cacheRule(), now())
    // Parts are not put together: only whole replies are kept. One that fits no cache is not cached at all.
    const isKept =
      ttl !== undefined &&
      status !== 206 &&
      status !== 304 &&
      Number(find(headers, 'content-length') ?? 0) <= limits.cachedBytes
    const keeping: Keeping | undefined = isKept
      ? { maxBytes: limits.cachedBytes, keep: (body) => cache.store(exchange.path, reply.head, body, now(), ttl) }
      : undefined
    exchange.status = status
    exchange.cacheStatus = statusOf(lookup, ttl !== undefined)
    await sendReply(request, response, { exchange, reply, keeping })
  }

  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
    exchange: Exchange,
    lookup: Extract<Lookup, { kind: 'fresh' }>,
  ): Promise<void> {
    const served = serveKept(lookup.reply, this.#context.now(), request.headers.range, request.headers['if-none-match'])
    exchange.fromCache = true
    exchange.cacheStatus = 'HIT'
    exchange.status = served.status
    exchange.bytes = exchange.method === 'HEAD' ? 0 : served.body.length
    await sendBody(request, response, exchange, served, [served.body])
  }

  #fail(response: ServerResponse, exchange: Exchange, page: ErrorPage): void {
    if (response.headersSent || response.destroyed) return void response.socket?.destroySoon()
    sendErrorPage(response, page, exchange.ray)
    exchange.status = response.statusCode
  }
}

function statusOf(lookup: Lookup | undefined, mayKeep: boolean): CacheStatus {
  if (!lookup) return 'DYNAMIC'
  if (!mayKeep) return 'BYPASS'
  return lookup.kind === 'expired' ? 'EXPIRED' : 'MISS'
}
