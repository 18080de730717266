/**
 * A body of the far end, fetched until it is whole: each cut is continued at the byte where it happened. URLs of NARs
 * name their bytes, so what is spliced together is one file.
 */
import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Chunk, ChunkReader } from '../chunks.ts'
import { parseContentLength, parseContentRange } from '../content-fields.ts'
import { Fault } from '../faults.ts'
import { type Line, LineFault } from './line.ts'

export interface DownloadOptions {
  readonly line: Line
  /** Relative to the cache's URL. */
  readonly path: string
  /** Gives up after this time without a byte. */
  readonly patienceMs: number
  /** Milliseconds of a steady clock. */
  readonly now: () => number
  readonly random: () => number
  readonly onResume?: (at: number, reason: string) => void
}

/** The far end may have to compress before it can answer; the edge gives up after 120 s. */
const headerTimeoutMs = 125_000
/** A connection on which nothing arrives for so long is replaced. */
const stallMs = 20_000
const firstWaitMs = 100
const longestWaitMs = 5_000
const absentStatuses = new Set([403, 404, 410])

interface Body {
  readonly reply: IncomingMessage
  readonly pieces: AsyncIterator<Buffer>
}

export class ResumedDownload implements ChunkReader {
  readonly #options: DownloadOptions
  readonly #abort = new AbortController()
  #body: Body | undefined
  /** Offset of the body's next byte in the whole file. */
  #bodyAt = 0
  #at = 0
  #size: number | undefined
  #etag: string | undefined
  #isWhole = false
  #failures = 0
  #progressAtMs: number

  constructor(options: DownloadOptions) {
    this.#options = options
    this.#progressAtMs = options.now()
  }

  /**
   * The next bytes. Rejects with a Fault: `absent` if the far end has no such file, `nar-changed` if it is another file
   * than before, `busy` if patience ran out, `abandoned` after `close`.
   */
  async next(): Promise<Chunk | undefined> {
    for (;;) {
      if (this.#abort.signal.aborted) throw new Fault('abandoned', 'The download was closed')
      if (this.#isWhole) return undefined
      try {
        this.#body ??= await this.#open()
        if (this.#body === undefined) continue
        const piece = await this.#nextPiece(this.#body)
        if (piece !== undefined) return { bytes: piece, release() {} }
      } catch (error) {
        if (error instanceof Fault) throw error
        await this.#waitAfter(error as Error)
      }
    }
  }

  close(): void {
    this.#abort.abort()
    this.#dropBody()
  }

  /** Undefined when everything has arrived already. */
  async #open(): Promise<Body | undefined> {
    const { line, path } = this.#options
    const { signal } = this.#abort
    const headers = this.#at === 0 ? undefined : { range: `bytes=${this.#at}-` }
    const reply = await line.request({ path, headerTimeoutMs, signal, isTransfer: true, ...(headers && { headers }) })
    const status = reply.statusCode!
    if (status === 200) this.#accept(reply, 0, parseContentLength(reply.headers['content-length']))
    else if (status === 206) this.#acceptRange(reply)
    else if (status === 416 && this.#finishAt(reply)) return undefined
    else {
      reply.destroy()
      if (status === 401) throw new Fault('absent', `${line.url} refuses the login (HTTP 401)`)
      if (absentStatuses.has(status)) throw new Fault('absent', `${line.url} has no "${path}" (HTTP ${status})`)
      throw new Fault('nar-changed', `${line.url} answered "${path}" with HTTP ${status}`)
    }
    return { reply, pieces: reply[Symbol.asyncIterator]() as AsyncIterator<Buffer> }
  }

  #acceptRange(reply: IncomingMessage): void {
    const range = parseContentRange(reply.headers['content-range'])
    if (range?.start !== this.#at) throw this.#changed('it answers with another range than was asked for')
    this.#accept(reply, this.#at, range.size)
  }

  #accept({ headers }: IncomingMessage, start: number, size: number | undefined): void {
    const { etag } = headers
    if (this.#at > 0 && etag !== this.#etag) throw this.#changed('its entity tag changed')
    this.#etag = etag
    if (size !== undefined) {
      if (this.#size !== undefined && this.#size !== size) throw this.#changed('its size changed')
      this.#size = size
    }
    this.#bodyAt = start
  }

  /** A body without a length ended: the far end was asked for more, and there is none. */
  #finishAt(reply: IncomingMessage): boolean {
    const total = /^bytes \*\/(\d{1,15})$/.exec(reply.headers['content-range'] ?? '')?.[1]
    if (total === undefined || Number(total) !== this.#at) return false
    reply.resume()
    this.#isWhole = true
    return true
  }

  /** Undefined at the end of the body. */
  async #nextPiece({ pieces, reply }: Body): Promise<Buffer | undefined> {
    const timer = setTimeout(() => reply.destroy(new Error(`nothing arrived for ${stallMs / 1000} s`)), stallMs)
    try {
      for (;;) {
        const { done, value } = await pieces.next()
        if (done === true) break
        this.#options.line.received(value.length)
        const fresh = value.subarray(Math.min(value.length, Math.max(0, this.#at - this.#bodyAt)))
        this.#bodyAt += value.length
        this.#progressAtMs = this.#options.now()
        this.#failures = 0
        if (fresh.length === 0) {
          timer.refresh()
          continue
        }
        this.#at += fresh.length
        if (this.#size !== undefined && this.#at > this.#size) throw this.#changed('it is longer than announced')
        return fresh
      }
    } finally {
      clearTimeout(timer)
    }
    this.#body = undefined
    // Without a size the end may be a cut: the next request will tell.
    if (this.#size !== undefined && this.#at >= this.#size) this.#isWhole = true
    else if (this.#size !== undefined) throw new LineFault('the body ended early')
    return undefined
  }

  async #waitAfter(error: Error): Promise<void> {
    this.#dropBody()
    const { now, patienceMs, random, onResume, line, path } = this.#options
    const quietMs = now() - this.#progressAtMs
    if (quietMs >= patienceMs)
      throw new Fault(
        'busy',
        `Gave up on "${path}" of ${line.url}: nothing arrived for ${Math.round(quietMs / 1000)} s (${error.message})`,
        { cause: error },
      )
    onResume?.(this.#at, error.message)
    const waitMs = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(10, this.#failures++)) * (0.5 + random() / 2)
    // Rejects when it is closed, which the next turn notices.
    await sleep(Math.min(waitMs, patienceMs - quietMs), undefined, { signal: this.#abort.signal }).catch(() => {})
  }

  #dropBody(): void {
    this.#body?.reply.destroy()
    this.#body = undefined
  }

  #changed(how: string): Fault {
    const { line, path } = this.#options
    return new Fault('nar-changed', `Cannot continue "${path}" of ${line.url}: ${how}`)
  }
}
