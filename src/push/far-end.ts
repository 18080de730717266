/**
 * Requests to the cache at the far end of a tunnel, repeated until they succeed: connections break, the edge answers in
 * the place of an origin it does not reach, the cache asks to be left alone for a while. What counts is progress: it
 * gives up when none was made for a time, not after a number of tries.
 */
import { Agent, type Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'

import type { PushError } from './protocol.ts'
import { PushFault } from './push-fault.ts'

export interface FarEndOptions {
  /** `https://cache.example.org`, without credentials; a path in it is kept. */
  readonly url: URL
  /** The `Authorization` header; undefined for a public cache. */
  readonly authorization: string | undefined
  /** Of this program: `Burrow-Client`. */
  readonly version: string
  /** Without any progress. */
  readonly patienceMs: number
  /** Requests at once. */
  readonly connections: number
  /** Milliseconds of a steady clock. */
  readonly now: () => number
  readonly sleep: (ms: number) => Promise<void>
  /** 0 (inclusive) to 1. */
  readonly random: () => number
  /** Before each repetition, with what went wrong. */
  readonly onRetry?: (reason: string, waitMs: number) => void
  readonly signal?: AbortSignal
}

export interface FarRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Relative to the cache's URL, without a slash at its beginning. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

export interface FarReply {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

const firstWaitMs = 500
const longestWaitMs = 30_000
const longestRetryAfterMs = 120_000
/** The edge gives up after 120 s; a cut that nobody announces is noticed after this. */
const silenceMs = 130_000
const maxReplyBytes = 64 * 1024 * 1024

/** What passes by itself; 520 to 530 are Cloudflare's own. */
const passing = new Set([408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530])

export class FarEnd implements Disposable {
  readonly #options: FarEndOptions
  readonly #agent: HttpAgent
  #progressAtMs: number

  constructor(options: FarEndOptions) {
    this.#options = options
    const settings = { keepAlive: true, maxSockets: options.connections }
    this.#agent = options.url.protocol === 'https:' ? new HttpsAgent(settings) : new Agent(settings)
    this.#progressAtMs = options.now()
  }

  get url(): string {
    return this.#options.url.href.replace(/\/$/, '')
  }

  /**
   * The reply, whatever its status, once it is one that will not change by asking again.
   * Rejects with a PushFault: unreachable, unauthorized, forbidden, challenged; and with the signal's reason.
   */
  async request(wanted: FarRequest): Promise<FarReply> {
    for (let failures = 0; ; failures++) {
      const outcome = await this.#try(wanted)
      if (typeof outcome !== 'string') {
        const refusal = this.#refusalOf(outcome)
        if (refusal !== undefined) throw refusal
        if (!passing.has(outcome.status)) {
          this.#progressAtMs = this.#options.now()
          return outcome
        }
      }
      const reason = typeof outcome === 'string' ? outcome : `HTTP ${outcome.status}`
      const quietMs = this.#options.now() - this.#progressAtMs
      if (quietMs >= this.#options.patienceMs) {
        throw new PushFault(
          'unreachable',
          `Gave up on ${this.url}: no progress for ${Math.round(quietMs / 1000)} s (${reason}); run it again to go on`,
        )
      }
      const waitMs = this.#waitMs(failures, typeof outcome === 'string' ? undefined : outcome)
      this.#options.onRetry?.(reason, waitMs)
      await this.#options.sleep(Math.min(waitMs, this.#options.patienceMs))
      this.#options.signal?.throwIfAborted()
    }
  }

  /** Sends and receives JSON. Rejects as `request` does, and with `refused` or `protocol` for any status but 2xx. */
  async ask<T>(method: FarRequest['method'], path: string, value?: unknown): Promise<T> {
    const body = value === undefined ? undefined : Buffer.from(JSON.stringify(value))
    const reply = await this.request({
      method,
      path,
      headers: { accept: 'application/json', ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body }),
    })
    if (reply.status >= 300) throw this.refusal(reply)
    const answer = parseJson<T>(reply) ?? undefined
    if (answer === undefined)
      throw new PushFault(
        'protocol',
        `${this.url}/${path} answered with something else than JSON: is this a Burrow that takes pushes?`,
      )
    return answer
  }

  /** The fault for a reply that is no success. */
  refusal(reply: FarReply): PushFault {
    const told = parseJson<Partial<PushError>>(reply)?.error
    if (typeof told === 'string') return new PushFault('refused', told, { status: reply.status })
    if (reply.status === 404)
      return new PushFault(
        'protocol',
        `${this.url} takes no pushes by this protocol (HTTP 404): is the URL right, and is it a Burrow?`,
      )
    return new PushFault('protocol', `${this.url} answered HTTP ${reply.status}`)
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }

  #refusalOf(reply: FarReply): PushFault | undefined {
    const { status, headers } = reply
    if (status === 401)
      return new PushFault(
        'unauthorized',
        `${this.url} does not know this user or password (HTTP 401): check the netrc entry for its host`,
      )
    if (status !== 403) return undefined
    if (headers['cf-mitigated'] !== undefined || /^text\/html/.test(headers['content-type'] ?? '')) {
      return new PushFault(
        'challenged',
        `The edge in front of ${this.url} challenges this client (HTTP 403): see "burrow doctor" on the machine of the cache`,
      )
    }
    const told = parseJson<Partial<PushError>>(reply)?.error
    return new PushFault(
      'forbidden',
      typeof told === 'string' ? told : `This user may not push to ${this.url} (HTTP 403)`,
    )
  }

  /** Full jitter, so that many who failed together do not come back together. */
  #waitMs(failures: number, reply: FarReply | undefined): number {
    const retryAfter = Number(reply?.headers['retry-after'])
    if (Number.isFinite(retryAfter) && retryAfter > 0)
      return Math.min(retryAfter * 1000, longestRetryAfterMs) * (1 + this.#options.random() / 4)
    return this.#options.random() * Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(failures, 10)) + firstWaitMs / 5
  }

  /** The reply, or what broke. */
  #try({ method, path, headers, body }: FarRequest): Promise<FarReply | string> {
    const { url, authorization, version, signal } = this.#options
    const target = new URL(path, url.href.endsWith('/') ? url.href : `${url.href}/`)
    const send = target.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve) => {
      const request = send(target, {
        method,
        agent: this.#agent,
        ...(signal && { signal }),
        timeout: silenceMs,
        headers: {
          'user-agent': `burrow/${version}`,
          'burrow-client': version,
          ...(authorization !== undefined && { authorization }),
          // A tunnel over QUIC drops bodies whose length is not given.
          ...(body && { 'content-length': String(body.byteLength) }),
          ...headers,
        },
      })
      const fail = (error: Error) => resolve((error as NodeJS.ErrnoException).code ?? error.message)
      request.on('error', fail)
      request.on('timeout', () => request.destroy(new Error(`no answer within ${silenceMs / 1000} s`)))
      request.on('response', (response) => {
        const chunks: Buffer[] = []
        let length = 0
        response.on('data', (chunk: Buffer) => {
          length += chunk.length
          if (length > maxReplyBytes) response.destroy(new Error('the reply is too large'))
          else chunks.push(chunk)
        })
        response.on('error', fail)
        response.on('end', () =>
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }),
        )
      })
      request.end(body)
    })
  }
}

function parseJson<T>({ headers, body }: FarReply): T | undefined {
  if (!/^application\/json\b/.test(headers['content-type'] ?? '')) return undefined
  try {
    return JSON.parse(body.toString()) as T
  } catch {
    return undefined
  }
}
