/**
 * One request being answered, on the hot routes and in Express alike: who asks, since when, and the few ways to answer.
 * Replies that are not a success carry the status phrase and nothing else: no path, no cause.
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { clientAddressOf, rayOf } from './auth/client-address.ts'
import type { Identity } from './auth/user.ts'
import type { CacheHeaders, Kind } from './cache-headers.ts'
import type { Exchange, Observer, PushTally, RouteName, ServedFrom } from './observer.ts'
import { endWithPrepared, prepareReply } from './prepared-reply.ts'
import { receivedBytesOf } from './push/request-body.ts'
import type { RawHeaders } from './raw-headers.ts'

/** When its reply has ended it is the exchange to be reported: what costs is worked out only if it is asked for. */
export class Reply implements Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  route: RouteName = 'other'
  identity: Identity | undefined
  storePath: string | undefined
  servedFrom: ServedFrom | undefined
  #claimedUser: string | undefined
  /** Body bytes handed to the socket so far. */
  bytes = 0
  readonly #cacheHeaders: CacheHeaders
  readonly #observer: Observer
  readonly #startedMs = performance.now()
  #endedMs = 0
  isComplete = false
  #registered = 0
  #refused = 0
  #refusal: string | undefined

  constructor(request: IncomingMessage, response: ServerResponse, cacheHeaders: CacheHeaders, observer: Observer) {
    this.request = request
    this.response = response
    this.#cacheHeaders = cacheHeaders
    this.#observer = observer
    // Most routes read no request body: a connection on which one is still to come cannot be used again.
    const { headers } = request
    if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined)
      response.shouldKeepAlive = false
  }

  /**
   * For a route that has read the request's body to its end, or will before it answers: the connection can carry the
   * next request.
   */
  uploaded(): void {
    const { headers, httpVersionMinor } = this.request
    if (httpVersionMinor === 1 && headers.connection?.toLowerCase() !== 'close') this.response.shouldKeepAlive = true
  }

  get method(): string {
    return this.request.method ?? ''
  }

  get target(): string {
    return loggableTarget(this.request.url ?? '')
  }

  get status(): number {
    return this.response.statusCode
  }

  get user(): string | undefined {
    return this.identity?.name
  }

  get claimedUser(): string | undefined {
    return this.#claimedUser
  }

  set claimedUser(name: string | undefined) {
    this.#claimedUser = name?.slice(0, maxClaimedLength)
  }

  get push(): PushTally | undefined {
    if (this.route !== 'push' && this.#refused === 0) return undefined
    return {
      receivedBytes: receivedBytesOf(this.request),
      registered: this.#registered,
      refused: this.#refused,
      refusal: this.#refusal,
    }
  }

  /** Store paths that are here since this request. */
  noteRegistered(paths: number): void {
    this.#registered += paths
  }

  /** A path that may not be pushed, and why. */
  noteRefused(reason: string): void {
    this.#refused++
    this.#refusal ??= reason.slice(0, maxRefusalLength)
  }

  get address(): string {
    return clientAddressOf(this.request)
  }

  get ray(): string | undefined {
    return rayOf(this.request)
  }

  get durationMs(): number {
    return this.#endedMs - this.#startedMs
  }

  /** Since the request's header was read. */
  get elapsedMs(): number {
    return performance.now() - this.#startedMs
  }

  get isHead(): boolean {
    return this.request.method === 'HEAD'
  }

  /**
   * A success that is the same for everybody, rendered once, status line to last byte, and remembered as long as
   * `origin`, the thing it was made from. This is what the hot cases send.
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

  /** A whole body at hand. HEAD gets the headers alone. */
  send(status: number, kind: Kind, headers: RawHeaders, body: string | Uint8Array): void {
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
    this.begin(status, kind, [...headers, 'Content-Length', String(length)])
    if (this.isHead) this.response.end()
    else {
      this.bytes = length
      this.response.end(body)
    }
  }

  /** Status line and headers alone; the caller ends the response. */
  begin(status: number, kind: Kind, headers: RawHeaders): void {
    const { response } = this
    response.writeHead(status, [...headers, ...this.#cacheHeaders[kind]])
    if (response.closed) this.#report(false)
    else response.once('close', () => this.#report(response.writableFinished))
  }

  /**
   * A refusal or a miss, in plain text (by default the status phrase alone); after headers were sent it breaks the
   * transfer instead.
   */
  refuse(status: number, headers: RawHeaders = [], text = STATUS_CODES[status] ?? 'Error'): void {
    if (this.response.headersSent) this.break()
    else
      this.send(
        status,
        'missed',
        [...headers, ...this.#resumeHint(status), 'Content-Type', 'text/plain; charset=utf-8'],
        `${text}\n`,
      )
  }

  /** Something that passes: the client is told to try again. */
  postpone(retryAfterSeconds: number, status: 429 | 503 = 503): void {
    this.refuse(status, ['Retry-After', String(retryAfterSeconds)])
  }

  /** Ends the connection so that nobody can take what was sent for the whole. */
  break(): void {
    // A reply that waits behind others on its connection has no socket yet.
    const socket = this.response.socket ?? this.request.socket
    if ('resetAndDestroy' in socket) socket.resetAndDestroy()
    else this.response.destroy()
  }

  /**
   * Without it, Nix takes such a reply to a resumed request as a refusal of ranges and gives up, instead of asking
   * again for the rest.
   */
  #resumeHint(status: number): RawHeaders {
    return (status === 503 || status === 429 || status === 416) && this.request.url?.startsWith('/nar/')
      ? ['Accept-Ranges', 'bytes']
      : []
  }

  #report(isComplete: boolean): void {
    this.#endedMs = performance.now()
    this.isComplete = isComplete
    this.#observer.exchanged(this)
  }
}

const maxTargetLength = 512
const maxClaimedLength = 64
const maxRefusalLength = 300

/**
 * Secrets come in queries (`?token=`) and before hosts (`http://user:password@`): neither means anything here, but for
 * `?json`. Node's parser lets nothing but printable ASCII through.
 */
function loggableTarget(url: string): string {
  const [path = '', query] = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').split(/[?#](.*)/s, 2)
  const shown = query === undefined ? path : `${path}?${query === 'json' ? 'json' : '…'}`
  return shown.slice(0, maxTargetLength)
}

function isPlainGet({ method, httpVersionMinor }: IncomingMessage): boolean {
  return method === 'GET' && httpVersionMinor === 1
}
