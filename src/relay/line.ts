/**
 * Requests to the far end over a line that may fail at any moment. A reply is a value if asking again would not change
 * it; everything that passes by itself (a broken connection, the edge answering for an origin that it does not reach) is
 * a LineFault. The line counts as down after a fault, until the far end answers again.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'

export interface LineOptions {
  /** `https://cache.example.org`, without credentials; a path in it is kept. */
  readonly url: URL
  /** The `Authorization` header; undefined for a public cache. Read for each request. */
  readonly authorization: () => string | undefined
  readonly version: string
  /** Requests at once. */
  readonly connections: number
  /** Milliseconds of a steady clock. */
  readonly now: () => number
  /** Called when the line goes down or comes up. */
  readonly onChange?: (isUp: boolean, reason: string | undefined) => void
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
}

/** Passes by itself: ask again. */
export class LineFault extends Error {
  override readonly name = 'LineFault'
}

/** Statuses that pass by themselves; 520 to 530 are Cloudflare's own. */
const passingStatuses = new Set([408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530])
/** To connect: a far end that takes longer is away, and Nix is not kept waiting. */
const connectTimeoutMs = 900
/** A longer silence was not the line's: nothing was asked for. */
const longestGapMs = 500
const enoughBytes = 512 * 1024
const forgottenBytes = 32 * 1024 * 1024
const firstProbeMs = 1_000
const longestProbeMs = 15_000
const probeTimeoutMs = 5_000

export class Line implements Disposable {
  readonly #options: LineOptions
  readonly #base: URL
  readonly #agent: HttpAgent
  #receivedAtMs = Number.NEGATIVE_INFINITY
  #problem: string | undefined
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
    const settings = { keepAlive: true, maxSockets: options.connections, scheduling: 'lifo' } as const
    this.#agent = this.#base.protocol === 'https:' ? new HttpsAgent(settings) : new HttpAgent(settings)
  }

  /** Without a slash at the end. */
  get url(): string {
    return this.#base.href.replace(/\/$/, '')
  }

  /** Why the line is down; undefined while it is up. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Resolves with the reply once its header is here, whatever its status. Rejects with a LineFault. */
  async request(wanted: LineRequest): Promise<IncomingMessage> {
    const reply = await this.#send(wanted).catch((error: NodeJS.ErrnoException) => {
      throw this.#failed(wanted, error.code ?? error.message)
    })
    const { statusCode = 0 } = reply
    if (passingStatuses.has(statusCode) || isChallenge(reply)) {
      reply.destroy()
      throw this.#failed(wanted, `HTTP ${statusCode}`)
    }
    this.received(0)
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
    this.#agent.destroy()
  }

  #measure(bytes: number, passedMs: number): void {
    if (bytes === 0 || passedMs > longestGapMs) return
    this.#recentBytes += bytes
    this.#recentMs += passedMs
    if (this.#recentBytes < forgottenBytes) return
    this.#recentBytes /= 2
    this.#recentMs /= 2
  }

  #failed({ path, signal }: LineRequest, reason: string): LineFault {
    const isWanted = signal?.aborted !== true
    if (isWanted && !this.#isClosed && this.#problem === undefined) {
      this.#problem = reason
      this.#options.onChange?.(false, reason)
      this.#scheduleProbe()
    }
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

  #send({ method = 'GET', path, headers, body, headerTimeoutMs, signal }: LineRequest): Promise<IncomingMessage> {
    const { authorization, version } = this.#options
    const target = new URL(path, this.#base)
    // The path comes from narinfos of the far end: it leads nowhere else, and credentials go nowhere else.
    if (target.origin !== this.#base.origin || !target.pathname.startsWith(this.#base.pathname))
      return Promise.reject(new Error('the path leads to another host'))
    const login = authorization()
    const send = target.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const request = send(target, {
        method,
        agent: this.#agent,
        ...(signal && { signal }),
        headers: {
          'user-agent': `burrow-relay/${version}`,
          'accept-encoding': 'identity',
          ...(login !== undefined && { authorization: login }),
          ...(body && { 'content-length': String(body.byteLength) }),
          ...headers,
        },
      })
      const timer = setTimeout(
        () => request.destroy(new Error(`no answer within ${headerTimeoutMs} ms`)),
        headerTimeoutMs,
      )
      let connecting: NodeJS.Timeout | undefined
      request.on('socket', (socket) => {
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
