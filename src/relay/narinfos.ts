/**
 * What the far end knows of store paths. Hash parts that are asked for at the same time go out together, and each answer
 * brings the narinfos of the whole closure, so that a closure of thousands of paths takes a few round trips. An answer is
 * remembered for seconds only, and a path that is absent not at all. A line that is down is never waited for: the path
 * counts as absent, and Nix builds it or asks another cache.
 */
import type { IncomingMessage } from 'node:http'

import type { Log } from '../log.ts'
import type { NarInfo } from '../nix/nar-info.ts'
import { parseNarInfo } from '../nix/parse-nar-info.ts'
import { hashPartOf } from '../nix/store-path.ts'
import { readAtMost } from '../read-at-most.ts'
import { basesIn, destroyWhenSilent, readClosureReply } from './closure-reply.ts'
import type { Line } from './line.ts'
import { type Base, type ClosureLine, closurePath, maxClosureRoots } from './protocol.ts'

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
/** A far end that does not know the question is not asked again for so long. */
const plainMs = 600_000

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
    if (!line.isUsable) return undefined
    return await within(answerMs, this.#ask(hashPart))
  }

  /**
   * For a NAR that Nix was promised: what was ever known of it will do, and a line that is down is waited for. Undefined
   * if the far end does not have this NAR, or patience ran out. Never rejects.
   */
  async findPatiently(hashPart: string, narHash: string, patienceMs: number): Promise<KnownPath | undefined> {
    const { line, now } = this.#options
    for (const endMs = now() + patienceMs; ; ) {
      const known = this.#remembered.get(hashPart)?.path ?? (line.isUsable ? await this.#ask(hashPart) : undefined)
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
    let lines = 0
    try {
      for await (const answer of readClosureReply(reply, (bytes) => line.received(bytes))) {
        lines++
        this.#takeLine(answer)
      }
    } catch (error) {
      log.debug({ reason: (error as Error).message, lines }, 'The narinfos of a closure arrived only in part')
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

function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), ms)
    void promise.then((value) => {
      clearTimeout(timer)
      resolve(value)
    })
  })
}
