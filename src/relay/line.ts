/**
 * Requests to the far end over a line that may fail at any moment. A reply is a value if asking again would not change
 * it; everything that passes by itself (a broken connection, the edge answering for an origin that it does not reach) is
 * a LineFault. The line counts as down after a fault, until the far end answers again. After a refused login nothing is
 * asked with it but whether it is accepted by now: each question would be a failed login, which the far end answers late.
 */
import { Agent as HttpAgent, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'

import { Fault } from '../faults.ts'
import { temporaryStatuses } from '../temporary-statuses.ts'
import { LinePace } from './line-pace.ts'
import { sendRequest } from './send-request.ts'

export interface LineOptions {
  /** `https://cache.example.org`, without credentials; a path in it is kept. */
  readonly url: URL
  /** The `Authorization` header; undefined for a public cache. Read for each request. */
  readonly authorization: () => string | undefined
  readonly version: string
  /** Transfers at once. Questions have connections of their own: they must not wait behind slow readers. */
  readonly connections: number
  /** Milliseconds of a steady clock. */
  readonly now: () => number
  /** Called when the line goes down or comes up. */
  readonly onChange?: (isUp: boolean, reason: string | undefined) => void
  /** Called when the far end begins to refuse a login, and when it accepts one again. */
  readonly onLogin?: (isRefused: boolean) => void
}

export interface LineRequest {
  readonly method?: 'GET' | 'HEAD' | 'POST'
  /** Relative to the cache's URL, without a slash at the beginning. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
  /** Until the header of the reply has arrived. */
  readonly headerTimeoutMs: number
  readonly signal?: AbortSignal
  /** A NAR or a delta, which may take long; everything else is a question. */
  readonly isTransfer?: boolean
}

/** Passes by itself: ask again. */
export class LineFault extends Error {
  override readonly name = 'LineFault'
}

const questionConnections = 16
/** A single transfer may get these while the far end is well. */
const busyStatuses = new Set([408, 425, 429, 500, 503])
const firstProbeMs = 1_000
const longestProbeMs = 15_000
/** Nix does not wait for it, and Burrow answers a wrong login after up to 8 s. */
export const probeTimeoutMs = 12_000
const refusedProbeMs = 60_000

export class Line implements Disposable {
  readonly #options: LineOptions
  readonly #base: URL
  readonly #transferAgent: HttpAgent
  readonly #questionAgent: HttpAgent
  #problem: string | undefined
  #refused: { readonly login: string | undefined } | undefined
  #probe: NodeJS.Timeout | undefined
  #failedProbes = 0
  #isClosed = false
  readonly #pace: LinePace
  receivedBytes = 0

  constructor(options: LineOptions) {
    this.#options = options
    this.#pace = new LinePace(options.now)
    this.#base = new URL(options.url.href.endsWith('/') ? options.url.href : `${options.url.href}/`)
    const createAgent = (maxSockets: number) => {
      const settings = { keepAlive: true, maxSockets, scheduling: 'lifo' } as const
      return this.#base.protocol === 'https:' ? new HttpsAgent(settings) : new HttpAgent(settings)
    }
    this.#transferAgent = createAgent(options.connections)
    this.#questionAgent = createAgent(questionConnections)
  }

  /** Without a slash at the end. */
  get url(): string {
    return this.#base.href.replace(/\/$/, '')
  }

  /** Why the line is down; undefined while it is up. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** True if the far end refused the login that would be sent now. */
  get isLoginRefused(): boolean {
    return this.#refused !== undefined && this.#refused.login === this.#options.authorization()
  }

  /** False: what Nix waits for is not asked. */
  get isUsable(): boolean {
    return this.#problem === undefined && !this.isLoginRefused
  }

  /**
   * Resolves with the reply once its header is here, whatever its status. Rejects with a LineFault, or with the fault
   * `absent` for a path that leads to another host.
   */
  async request(wanted: LineRequest): Promise<IncomingMessage> {
    const target = new URL(wanted.path, this.#base)
    // The path comes from narinfos of the far end: it leads nowhere else, and credentials go nowhere else.
    if (target.origin !== this.#base.origin || !target.pathname.startsWith(this.#base.pathname))
      throw new Fault('absent', `"${wanted.path}" leads to another place than ${this.url}`)
    const login = this.#options.authorization()
    const reply = await this.#send(target, wanted, login).catch((error: NodeJS.ErrnoException) => {
      throw this.#failed(wanted, error.code ?? error.message)
    })
    const { statusCode = 0 } = reply
    if (temporaryStatuses.has(statusCode) || isChallenge(reply)) {
      reply.destroy()
      const reason = `HTTP ${statusCode}`
      throw wanted.isTransfer === true && busyStatuses.has(statusCode)
        ? this.#toFault(wanted, reason)
        : this.#failed(wanted, reason)
    }
    this.received(0)
    this.#noteLogin(login, statusCode === 401)
    return reply
  }

  #noteLogin(login: string | undefined, isRefused: boolean): void {
    const before = this.#refused
    this.#refused = isRefused ? { login } : undefined
    if (isRefused && this.#probe === undefined && !this.#isClosed) this.#scheduleProbe()
    if (isRefused ? before?.login !== login || before === undefined : before !== undefined)
      this.#options.onLogin?.(isRefused)
  }

  /** What arrived lately, while something did; undefined before there was enough to tell. */
  get bytesPerSecond(): number | undefined {
    return this.#pace.bytesPerSecond
  }

  /** Counts bytes of a body. */
  received(bytes: number): void {
    this.receivedBytes += bytes
    this.#pace.add(bytes)
    if (this.#problem === undefined) return
    this.#problem = undefined
    this.#failedProbes = 0
    clearTimeout(this.#probe)
    this.#probe = undefined
    this.#options.onChange?.(true, undefined)
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    clearTimeout(this.#probe)
    this.#transferAgent.destroy()
    this.#questionAgent.destroy()
  }

  #send(
    target: URL,
    { headers, isTransfer = false, ...wanted }: LineRequest,
    login: string | undefined,
  ): Promise<IncomingMessage> {
    const { version } = this.#options
    return sendRequest(target, {
      ...wanted,
      agent: isTransfer ? this.#transferAgent : this.#questionAgent,
      headers: {
        'user-agent': `burrow-relay/${version}`,
        'accept-encoding': 'identity',
        ...(login !== undefined && { authorization: login }),
        ...headers,
      },
    })
  }

  #failed(wanted: LineRequest, reason: string): LineFault {
    const isWanted = wanted.signal?.aborted !== true
    if (isWanted && !this.#isClosed && this.#problem === undefined) {
      this.#problem = reason
      this.#options.onChange?.(false, reason)
      // That of a refused login comes later.
      clearTimeout(this.#probe)
      this.#scheduleProbe()
    }
    return this.#toFault(wanted, reason)
  }

  #toFault({ path }: LineRequest, reason: string): LineFault {
    return new LineFault(`No answer from ${this.url} for "${path}": ${reason}`)
  }

  #scheduleProbe(): void {
    const waitMs =
      this.#problem === undefined
        ? refusedProbeMs
        : Math.min(longestProbeMs, firstProbeMs * 2 ** Math.min(10, this.#failedProbes))
    this.#probe = setTimeout(() => void this.#askWhetherUp(), waitMs).unref()
  }

  async #askWhetherUp(): Promise<void> {
    this.#probe = undefined
    // Asked with another login meanwhile.
    if (this.#problem === undefined && this.#refused === undefined) return
    try {
      const reply = await this.request({ path: 'nix-cache-info', headerTimeoutMs: probeTimeoutMs })
      reply.resume()
    } catch {
      this.#failedProbes++
      if (this.#problem !== undefined && this.#probe === undefined && !this.#isClosed) this.#scheduleProbe()
    }
  }
}

/** The edge doubts that a program may ask at all; this is no answer of the cache. */
function isChallenge({ statusCode, headers }: IncomingMessage): boolean {
  return statusCode === 403 && headers['cf-mitigated'] !== undefined
}
