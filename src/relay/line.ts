/**
 * Requests to the far end over a line that may fail at any moment. A reply is a value if asking again would not change
 * it; everything that passes by itself (a broken connection, the edge answering for an origin that it does not reach) is
 * a LineFault. The line counts as down after a fault, until the far end answers again.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'

import { Fault } from '../faults.ts'
import { temporaryStatuses } from '../temporary-statuses.ts'

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
  /** Called when the far end begins to refuse the login. */
  readonly onLoginRefused?: () => void
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

/** To connect: a far end that takes longer is away, and Nix is not kept waiting. */
const connectTimeoutMs = 900
/** A longer silence was not the line's: nothing was asked for. */
const longestGapMs = 500
const enoughBytes = 512 * 1024
const forgottenBytes = 32 * 1024 * 1024
const questionConnections = 16
/** A single transfer may get these while the far end is well. */
const busyStatuses = new Set([408, 425, 429, 500, 503])
const firstProbeMs = 1_000
const longestProbeMs = 15_000
const probeTimeoutMs = 5_000

export class Line implements Disposable {
  readonly #options: LineOptions
  readonly #base: URL
  readonly #transferAgent: HttpAgent
  readonly #questionAgent: HttpAgent
  #receivedAtMs = Number.NEGATIVE_INFINITY
  #problem: string | undefined
  #isLoginRefused = false
  #probe: NodeJS.Timeout | undefined
  #failedProbes = 0
  #isClosed = false
  receivedBytes = 0
  /** While bodies arrived: bytes and the time they took, both fading. */
  #recentBytes = 0
  #recentMs = 0

  constructor(options: LineOptions) {
    this.#options = options
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

  /** True if the far end refused the login of the last request. */
  get isLoginRefused(): boolean {
    return this.#isLoginRefused
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
    const reply = await this.#send(target, wanted).catch((error: NodeJS.ErrnoException) => {
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
    if (this.#isLoginRefused !== (statusCode === 401)) {
      this.#isLoginRefused = statusCode === 401
      if (this.#isLoginRefused) this.#options.onLoginRefused?.()
    }
    return reply
  }

  /** What arrived lately, while something did; undefined before there was enough to tell. */
  get bytesPerSecond(): number | undefined {
    return this.#recentBytes < enoughBytes ? undefined : this.#recentBytes / (Math.max(1, this.#recentMs) / 1000)
  }

  /** Counts bytes of a body. */
  received(bytes: number): void {
    this.receivedBytes += bytes
    const nowMs = this.#options.now()
    this.#measure(bytes, nowMs - this.#receivedAtMs)
    this.#receivedAtMs = nowMs
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

  #measure(bytes: number, passedMs: number): void {
    if (bytes === 0 || passedMs > longestGapMs) return
    this.#recentBytes += bytes
    this.#recentMs += passedMs
    if (this.#recentBytes < forgottenBytes) return
    this.#recentBytes /= 2
    this.#recentMs /= 2
  }

  #failed(wanted: LineRequest, reason: string): LineFault {
    const isWanted = wanted.signal?.aborted !== true
    if (isWanted && !this.#isClosed && this.#problem === undefined) {
      this.#problem = reason
      this.#options.onChange?.(false, reason)
      this.#scheduleProbe()
    }
    return this.#toFault(wanted, reason)
  }

  #toFault({ path }: LineRequest, reason: string): LineFault {
    return new LineFault(`No answer from ${this.url} for "${path}": ${reason}`)
  }

  #scheduleProbe(): void {
    const waitMs = Math.min(longestProbeMs, firstProbeMs * 2 ** Math.min(10, this.#failedProbes))
    this.#probe = setTimeout(() => void this.#askWhetherUp(), waitMs).unref()
  }

  async #askWhetherUp(): Promise<void> {
    try {
      const reply = await this.request({ path: 'nix-cache-info', headerTimeoutMs: probeTimeoutMs })
      reply.resume()
    } catch {
      this.#failedProbes++
      if (this.#problem !== undefined && !this.#isClosed) this.#scheduleProbe()
    }
  }

  #send(
    target: URL,
    { method = 'GET', headers, body, headerTimeoutMs, signal, isTransfer = false }: LineRequest,
  ): Promise<IncomingMessage> {
    const { authorization, version } = this.#options
    const login = authorization()
    const send = target.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const request = send(target, {
        method,
        agent: isTransfer ? this.#transferAgent : this.#questionAgent,
        ...(signal && { signal }),
        headers: {
          'user-agent': `burrow-relay/${version}`,
          'accept-encoding': 'identity',
          ...(login !== undefined && { authorization: login }),
          ...(body && { 'content-length': String(body.byteLength) }),
          ...headers,
        },
      })
      let timer: NodeJS.Timeout | undefined
      let connecting: NodeJS.Timeout | undefined
      // Until then it waits for a connection to be free, which says nothing about the far end.
      request.on('socket', (socket) => {
        const tooLate = () => request.destroy(new Error(`no answer within ${headerTimeoutMs} ms`))
        timer = setTimeout(tooLate, headerTimeoutMs)
        if (!socket.connecting) return
        const giveUp = () => request.destroy(new Error(`no connection within ${connectTimeoutMs} ms`))
        connecting = setTimeout(giveUp, connectTimeoutMs)
        socket.once(target.protocol === 'https:' ? 'secureConnect' : 'connect', () => clearTimeout(connecting))
      })
      request.on('error', (error) => {
        clearTimeout(timer)
        clearTimeout(connecting)
        reject(error)
      })
      request.on('response', (reply) => {
        clearTimeout(timer)
        // Without a listener, an error of the body would end the program.
        reply.on('error', () => {})
        resolve(reply)
      })
      request.end(body)
    })
  }
}

/** The edge doubts that a program may ask at all; this is no answer of the cache. */
function isChallenge({ statusCode, headers }: IncomingMessage): boolean {
  return statusCode === 403 && headers['cf-mitigated'] !== undefined
}
