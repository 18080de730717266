/**
 * Requests to a cache behind a tunnel, repeated until they succeed: connections break, the edge answers when it cannot
 * reach the cache, the cache is busy. It gives up after a time without any progress, not after a number of attempts.
 */
import { Agent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'

import { temporaryStatuses } from '../temporary-statuses.ts'
import { type FarAddress, type FarReply, type FarRequest, sendRequest } from './far-request.ts'
import type { PushError } from './protocol.ts'
import { PushFault } from './push-fault.ts'

export type { FarReply, FarRequest }

export interface FarEndOptions extends FarAddress {
  /** Gives up after this time without any progress. */
  readonly patienceMs: number
  /** Maximum number of concurrent requests. */
  readonly connections: number
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  readonly sleep: (ms: number) => Promise<void>
  /** 0 (inclusive) to 1. */
  readonly random: () => number
  /** Called before each retry. */
  readonly onRetry?: (reason: string, waitMs: number) => void
}

const firstWaitMs = 500
const longestWaitMs = 30_000
const longestRetryAfterMs = 120_000

export class FarEnd implements Disposable {
  readonly #options: FarEndOptions
  readonly #agent: Agent
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
   * The first reply that is not a temporary error. Rejects with a PushFault (unreachable, unauthorized, forbidden,
   * challenged) or the signal's reason.
   */
  async request(message: FarRequest): Promise<FarReply> {
    for (let failures = 0; ; failures++) {
      const outcome = await sendRequest(message, this.#agent, this.#options)
      if (typeof outcome !== 'string') {
        const refusal = this.#refusalOf(outcome)
        if (refusal !== undefined) throw refusal
        if (!temporaryStatuses.has(outcome.status)) {
          this.#progressAtMs = this.#options.now()
          return outcome
        }
      }
      const reason = typeof outcome === 'string' ? outcome : `HTTP ${outcome.status}`
      const idleMs = this.#options.now() - this.#progressAtMs
      if (idleMs >= this.#options.patienceMs) {
        throw new PushFault(
          'unreachable',
          `Gave up on ${this.url}: no progress for ${Math.round(idleMs / 1000)} s (${reason}); run the command again to continue`,
        )
      }
      const waitMs = this.#waitMs(failures, typeof outcome === 'string' ? undefined : outcome)
      this.#options.onRetry?.(reason, waitMs)
      await this.#options.sleep(Math.min(waitMs, this.#options.patienceMs))
      this.#options.signal?.throwIfAborted()
    }
  }

  /** Sends and receives JSON. Rejects as `request` does, and with `refused` or `protocol` for any other status than 2xx. */
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
        `${this.url}/${path} did not answer with JSON: is this the URL of a Burrow cache that accepts pushes?`,
      )
    return answer
  }

  /** The fault for a reply that is not a success. */
  refusal(reply: FarReply): PushFault {
    const message = parseJson<Partial<PushError>>(reply)?.error
    if (typeof message === 'string') return new PushFault('refused', message, { status: reply.status })
    if (reply.status === 404)
      return new PushFault(
        'protocol',
        `${this.url} does not accept pushes with this protocol (HTTP 404): is this the URL of a Burrow cache?`,
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
        this.#options.authorization === undefined
          ? `${this.url} asks for a login (HTTP 401), and none is known for "${this.#options.url.hostname}": add a line for it to the netrc file`
          : `${this.url} rejected the user name or password (HTTP 401): check the netrc entry for its host`,
      )
    if (status !== 403) return undefined
    if (headers['cf-mitigated'] !== undefined || /^text\/html/.test(headers['content-type'] ?? '')) {
      return new PushFault(
        'challenged',
        `The edge in front of ${this.url} challenges this client (HTTP 403): run "burrow doctor" on the machine of the cache`,
      )
    }
    const message = parseJson<Partial<PushError>>(reply)?.error
    return new PushFault(
      'forbidden',
      typeof message === 'string' ? message : `This user may not push to ${this.url} (HTTP 403)`,
    )
  }

  /** Full jitter, so that clients that failed together do not retry together. */
  #waitMs(failures: number, reply: FarReply | undefined): number {
    const retryAfter = Number(reply?.headers['retry-after'])
    if (Number.isFinite(retryAfter) && retryAfter > 0)
      return Math.min(retryAfter * 1000, longestRetryAfterMs) * (1 + this.#options.random() / 4)
    return this.#options.random() * Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(failures, 10)) + firstWaitMs / 5
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
