/**
 * What the far end knows of store paths. Hash parts that are asked for at the same time go out together, and each answer
 * brings the narinfos of the whole closure, so that a closure of thousands of paths takes a few round trips. An answer is
 * remembered for seconds only, and a path that is absent not at all. A line that is down is never waited for: the path
 * counts as absent, and Nix builds it or asks another cache.
 */
import type { IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { type Readable, Transform, type TransformOptions } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { Log } from '../log.ts'
import type { NarInfo } from '../nix/nar-info.ts'
import { parseNarInfo } from '../nix/parse-nar-info.ts'
import { hashPartOf, parseHashPart } from '../nix/store-path.ts'
import { readAtMost } from '../read-at-most.ts'
import type { Line } from './line.ts'
import { type Base, type ClosureLine, closurePath, maxBases, maxClosureNarInfos, maxClosureRoots } from './protocol.ts'

export interface KnownPath {
  readonly narInfo: NarInfo
  readonly bases: readonly Base[]
}

export interface NarInfosOptions {
  readonly line: Line
  readonly storeDir: string
  /** True: ask which bases there are for deltas. */
  readonly wantsBases: boolean
  /** Milliseconds of a steady clock. */
  readonly now: () => number
  readonly log: Log
}

/** Nix waits for the answer. A far end that cannot even be connected to is given up sooner, see line.ts. */
const answerMs = 5_000
const rememberedMs = 15_000
const maxRemembered = 10_000
const maxQuestions = 6
/** Of one narinfo. */
const maxNarInfoBytes = 1024 * 1024
const retryMs = 500
const silenceMs = 10_000
const maxUrlLength = 500
/** A far end that does not know the question is not asked again for so long. */
const plainMs = 600_000
/** Decompressed: what is small on the line may be large in memory. */
const maxReplyBytes = 32 * 1024 * 1024

interface Remembered {
  readonly path: KnownPath
  readonly untilMs: number
}

export class NarInfos {
  readonly #options: NarInfosOptions
  readonly #remembered = new Map<string, Remembered>()
  /** Asked for, with everybody who waits for it. */
  readonly #waiting = new Map<string, PromiseWithResolvers<KnownPath | undefined>>()
  #queue: string[] = []
  #questions = 0
  #plainUntilMs = Number.NEGATIVE_INFINITY
  /** Narinfos answered from memory, and questions sent. */
  recalled = 0
  asked = 0

  constructor(options: NarInfosOptions) {
    this.#options = options
  }

  /** Undefined if the far end does not have the path, or does not answer in time. Never rejects. */
  async find(hashPart: string): Promise<KnownPath | undefined> {
    const { line, now } = this.#options
    const known = this.#remembered.get(hashPart)
    if (known !== undefined && now() < known.untilMs) {
      this.recalled++
      return known.path
    }
    if (line.problem !== undefined) return undefined
    return await within(answerMs, this.#ask(hashPart))
  }

  /**
   * For a NAR that Nix was promised: what was ever known of it will do, and a line that is down is waited for. Undefined
   * if the far end does not have this NAR, or patience ran out. Never rejects.
   */
  async findPatiently(hashPart: string, narHash: string, patienceMs: number): Promise<KnownPath | undefined> {
    const { line, now } = this.#options
    for (const endMs = now() + patienceMs; ; ) {
      const known =
        this.#remembered.get(hashPart)?.path ?? (line.problem === undefined ? await this.#ask(hashPart) : undefined)
      if (known !== undefined) return known.narInfo.narHash === narHash ? known : undefined
      // An answer of a line that works is final.
      if (line.problem === undefined || now() >= endMs) return undefined
      await new Promise((resolve) => setTimeout(resolve, retryMs))
    }
  }

  forget(hashPart: string): void {
    this.#remembered.delete(hashPart)
  }

  /** One question, however many ask. */
  #ask(hashPart: string): Promise<KnownPath | undefined> {
    const asked = this.#waiting.get(hashPart)
    if (asked !== undefined) return asked.promise
    const waiting = Promise.withResolvers<KnownPath | undefined>()
    this.#waiting.set(hashPart, waiting)
    this.#queue.push(hashPart)
    // What else is asked for in this turn of the event loop goes out with it.
    if (this.#queue.length === 1) setImmediate(() => this.#sendQuestions())
    return waiting.promise
  }

  #sendQuestions(): void {
    while (this.#queue.length > 0 && this.#questions < maxQuestions) {
      const isPlain = this.#options.now() < this.#plainUntilMs
      const roots = this.#queue.splice(0, isPlain ? 1 : maxClosureRoots)
      this.#questions++
      void (isPlain ? this.#askPlainly(roots[0]!) : this.#askClosure(roots))
        .catch((error: Error) =>
          this.#options.log.debug({ reason: error.message }, 'Cannot ask the far end for narinfos'),
        )
        .finally(() => {
          this.#questions--
          for (const root of roots) this.#answer(root, undefined)
          this.#sendQuestions()
        })
    }
  }

  async #askClosure(roots: readonly string[]): Promise<void> {
    const { line, wantsBases } = this.#options
    this.asked++
    const reply = await line.request({
      method: 'POST',
      path: closurePath,
      headers: { 'content-type': 'application/json', 'accept-encoding': 'gzip' },
      body: Buffer.from(JSON.stringify({ roots, ...(wantsBases && { bases: true }) })),
      headerTimeoutMs: answerMs,
    })
    if (reply.statusCode === 200) return await this.#readClosure(reply)
    reply.resume()
    // A cache of another kind, or an older Burrow.
    if (reply.statusCode !== 401) this.#plainUntilMs = this.#options.now() + plainMs
    await Promise.all(roots.map((root) => this.#askPlainly(root)))
  }

  async #readClosure(reply: IncomingMessage): Promise<void> {
    const { line, log } = this.#options
    const stopWatching = destroyWhenSilent(reply)
    reply.on('data', (bytes: Buffer) => line.received(bytes.length))
    const text: Readable = reply.headers['content-encoding'] === 'gzip' ? reply.pipe(createGunzip()) : reply
    const limited = new Transform({ transform: limitBytes(maxReplyBytes) })
    text.on('error', (error) => limited.destroy(error))
    reply.on('error', (error) => text.destroy(error))
    reply.on('aborted', () => text.destroy(new Error('the reply was cut off')))
    let lines = 0
    try {
      for await (const line of createInterface({ input: text.pipe(limited), crlfDelay: Number.POSITIVE_INFINITY })) {
        if (++lines > maxClosureNarInfos + maxClosureRoots + 1) throw new Error('the reply has too many lines')
        this.#takeLine(JSON.parse(line) as ClosureLine)
      }
    } catch (error) {
      log.debug({ reason: (error as Error).message, lines }, 'The narinfos of a closure arrived only in part')
    } finally {
      stopWatching()
      reply.destroy()
    }
  }

  #takeLine(line: ClosureLine): void {
    if ('absent' in line && typeof line.absent === 'string') return this.#answer(line.absent, undefined)
    if (!('narInfo' in line) || typeof line.narInfo !== 'string') return
    this.#take(line.narInfo, basesIn(line.bases))
  }

  async #askPlainly(hashPart: string): Promise<void> {
    this.asked++
    const { line } = this.#options
    const reply = await line.request({ path: `${hashPart}.narinfo`, headerTimeoutMs: answerMs })
    if (reply.statusCode !== 200) {
      reply.resume()
      return this.#answer(hashPart, undefined)
    }
    const stopWatching = destroyWhenSilent(reply)
    const text = await readAtMost(reply, maxNarInfoBytes).finally(stopWatching)
    if (text !== undefined) this.#take(text.toString('utf8'), [])
    this.#answer(hashPart, undefined)
  }

  #take(text: string, bases: readonly Base[]): void {
    const narInfo = parseNarInfo(text, this.#options.storeDir)
    if (narInfo === undefined) return
    const hashPart = hashPartOf(narInfo.storePath)
    this.#remembered.delete(hashPart)
    for (const oldest of this.#remembered.keys()) {
      if (this.#remembered.size < maxRemembered) break
      this.#remembered.delete(oldest)
    }
    const path = { narInfo, bases }
    this.#remembered.set(hashPart, { path, untilMs: this.#options.now() + rememberedMs })
    this.#answer(hashPart, path)
  }

  #answer(hashPart: string, path: KnownPath | undefined): void {
    this.#waiting.get(hashPart)?.resolve(path)
    this.#waiting.delete(hashPart)
  }
}

/** A body that stops arriving would keep its place among the questions. */
function destroyWhenSilent(reply: IncomingMessage): () => void {
  const timer = setTimeout(() => reply.destroy(new Error(`nothing arrived for ${silenceMs} ms`)), silenceMs)
  reply.on('data', () => void timer.refresh())
  return () => clearTimeout(timer)
}

function limitBytes(maxBytes: number): TransformOptions['transform'] & {} {
  let bytes = 0
  return (piece: Buffer, _encoding, done) => {
    bytes += piece.length
    if (bytes > maxBytes) done(new Error(`the reply has more than ${maxBytes} bytes`))
    else done(null, piece)
  }
}

/** What a far end sends is not trusted to have the form it should have. */
function basesIn(value: unknown): Base[] {
  if (!Array.isArray(value)) return []
  return value.slice(0, maxBases).flatMap((base: Partial<Base> | null) => {
    const { hashPart, narHash, url, deltaSize } = base ?? {}
    if (typeof hashPart !== 'string' || parseHashPart(hashPart) === undefined || !isNarHash(narHash)) return []
    if (typeof url !== 'string' || url.length > maxUrlLength) return []
    return [{ hashPart, narHash, url, ...(isSize(deltaSize) && { deltaSize }) }]
  })
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0

function isNarHash(value: unknown): value is string {
  return typeof value === 'string' && /^sha256:[01][0-9a-df-np-sv-z]{51}$/.test(value)
}

function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), ms)
    void promise.then((value) => {
      clearTimeout(timer)
      resolve(value)
    })
  })
}
