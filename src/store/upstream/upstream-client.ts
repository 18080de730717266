/**
 * GETs of another binary cache: bounded in time and size, redirects followed a few steps, credentials sent to its own
 * origin only. HTTP/1.0 servers and connections that end between two requests are as good as any.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Readable } from 'node:stream'

import { parseContentLength, parseContentRange } from '../../content-fields.ts'
import { Fault } from '../../faults.ts'
import { readAtMost } from '../../read-at-most.ts'

export interface UpstreamClientOptions {
  /** Without credentials. */
  readonly url: URL
  /** The `Authorization` header. */
  readonly authorization: string | undefined
  /** Until a reply's header is there. */
  readonly headerTimeoutMs: number
  readonly userAgent: string
}

export interface UpstreamBody {
  /** Size of the whole in bytes, if the server sent it. */
  readonly size: number | undefined
  /** Where the body begins in the whole: 0 when the server does not do ranges. */
  readonly start: number
  readonly body: Readable
}

const maxRedirects = 5
const maxTextBytes = 1024 * 1024
/** Worth another try on another connection: one that was kept alive may have ended as it was used. */
const connectionTries = 2

const absent = new Set([403, 404, 410])

export class UpstreamClient implements Disposable {
  readonly #options: UpstreamClientOptions
  readonly #agents = { 'http:': new HttpAgent({ keepAlive: true }), 'https:': new HttpsAgent({ keepAlive: true }) }

  constructor(options: UpstreamClientOptions) {
    this.#options = options
  }

  /** A small text; undefined for 403, 404 and 410. Rejects with a Fault store-unavailable. */
  async readText(path: string): Promise<string | undefined> {
    const reply = await this.#get(path, {})
    if (absent.has(reply.statusCode!)) return void reply.resume()
    if (reply.statusCode !== 200) throw unexpected(path, reply)
    const timer = setTimeout(() => reply.destroy(new Error('it takes too long')), this.#options.headerTimeoutMs)
    try {
      const text = await readAtMost(reply, maxTextBytes)
      if (text === undefined) throw new Error(`it has more than ${maxTextBytes} bytes`)
      return text.toString('utf8')
    } catch (error) {
      throw unavailable(path, error)
    } finally {
      clearTimeout(timer)
    }
  }

  /** A body from byte `start` on. Rejects with a Fault: nar-changed when it is gone, store-unavailable otherwise. */
  async open(path: string, start: number): Promise<UpstreamBody> {
    const reply = await this.#get(path, start === 0 ? {} : { range: `bytes=${start}-` })
    const { statusCode = 0, headers } = reply
    if (absent.has(statusCode)) {
      reply.destroy()
      throw new Fault('nar-changed', `The upstream's "${path}" is gone (HTTP ${statusCode})`)
    }
    if (statusCode === 200) return { size: parseContentLength(headers['content-length']), start: 0, body: reply }
    const range = parseContentRange(headers['content-range'])
    if (statusCode !== 206 || range?.start !== start) throw unexpected(path, reply)
    return { size: range.size, start, body: reply }
  }

  [Symbol.dispose](): void {
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }

  async #get(path: string, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
    let target = new URL(path, this.#options.url)
    for (let redirects = 0; ; redirects++) {
      const reply = await this.#requestPatiently(target, path, headers)
      const { location } = reply.headers
      if (![301, 302, 303, 307, 308].includes(reply.statusCode!) || location === undefined) return reply
      reply.destroy()
      const next = URL.canParse(location, target.href) ? new URL(location, target) : undefined
      if (redirects === maxRedirects || next === undefined || !this.#mayFollow(next)) {
        throw new Fault('store-unavailable', `The upstream redirects "${path}" to where it is not followed`)
      }
      target = next
    }
  }

  /**
   * To its own origin, or to a public https address such as an object store's: never from the world to a service of
   * this machine.
   */
  #mayFollow(next: URL): boolean {
    return (
      next.origin === this.#options.url.origin ||
      (next.protocol === 'https:' && !/^(?:localhost|127\.|\[|10\.|192\.168\.|169\.254\.|0\.)/.test(next.hostname))
    )
  }

  async #requestPatiently(
    target: URL,
    path: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<IncomingMessage> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#request(target, headers)
      } catch (error) {
        const isStale =
          tries < connectionTries && ['ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '')
        if (!isStale) throw unavailable(path, error)
      }
    }
  }

  #request(target: URL, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
    const { authorization, headerTimeoutMs, userAgent, url } = this.#options
    const send = target.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const request = send(target, {
        agent: this.#agents[target.protocol as 'http:' | 'https:'],
        headers: {
          'user-agent': userAgent,
          // What is sent compressed for the transfer alone would not be the bytes that the narinfo names.
          'accept-encoding': 'identity',
          ...(authorization !== undefined && target.origin === url.origin && { authorization }),
          ...headers,
        },
      })
      const timer = setTimeout(
        () => request.destroy(new Error(`no answer within ${headerTimeoutMs} ms`)),
        headerTimeoutMs,
      )
      request.on('error', (error) => {
        clearTimeout(timer)
        reject(error)
      })
      request.on('response', (reply) => {
        clearTimeout(timer)
        // Without a reader, an error of the body would end the program.
        reply.on('error', () => {})
        resolve(reply)
      })
      request.end()
    })
  }
}

function unexpected(path: string, reply: IncomingMessage): Fault {
  reply.destroy()
  return new Fault('store-unavailable', `The upstream answered "${path}" with HTTP ${reply.statusCode}`)
}

function unavailable(path: string, cause: unknown): Fault {
  const { code, message } = cause as NodeJS.ErrnoException
  return new Fault('store-unavailable', `Cannot read "${path}" from the upstream: ${code ?? message}`, { cause })
}
