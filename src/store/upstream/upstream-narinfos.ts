/**
 * The narinfos of an upstream: asked for once however many requests want one, accepted only with a signature of a
 * trusted key, and remembered for a while. An upstream that fails is left alone for a while; its paths are absent then.
 */
import type { Log } from '../../log.ts'
import { formatFingerprint } from '../../nix/fingerprint.ts'
import type { NarInfo } from '../../nix/nar-info.ts'
import { parseNarInfo } from '../../nix/parse-nar-info.ts'
import { verifySignature } from '../../nix/signature.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import { ExpiringMap } from './expiring-map.ts'
import type { UpstreamClient } from './upstream-client.ts'

export interface UpstreamNarInfosOptions {
  /** Of the store, for the log. */
  readonly name: string
  readonly client: UpstreamClient
  readonly storeDir: string
  /** `name:base64`; at least one. */
  readonly publicKeys: readonly string[]
  readonly log: Log
  /** Milliseconds of a steady clock. */
  readonly now: () => number
}

/** Questions at once; more are answered with absent. */
const maxQuestions = 256
const missMs = 30_000
const hitMs = 600_000
const maxRemembered = 20_000

export class UpstreamNarInfos {
  readonly counts = { lookups: 0, hits: 0, misses: 0, failures: 0, skipped: 0 }
  readonly #options: UpstreamNarInfosOptions
  readonly #breaker: CircuitBreaker
  /** By hash part; false for what is absent there. */
  readonly #known: ExpiringMap<NarInfo | false>
  readonly #questions = new Map<string, Promise<NarInfo | false>>()
  #isClosed = false

  constructor(options: UpstreamNarInfosOptions) {
    this.#options = options
    this.#breaker = new CircuitBreaker(options.now)
    this.#known = new ExpiringMap(maxRemembered, options.now)
  }

  /** Why the upstream is not asked at the moment. */
  get problem(): string | undefined {
    return this.#breaker.problem
  }

  /** False for what is absent. Never rejects: what cannot be asked is absent. */
  async find(hashPart: string): Promise<NarInfo | false> {
    const known = this.#known.find(hashPart)
    if (known !== undefined) return known
    const asked = this.#questions.get(hashPart)
    if (asked !== undefined) return await asked
    if (this.#isClosed || this.#questions.size >= maxQuestions || !this.#breaker.mayAsk()) {
      this.counts.skipped++
      return false
    }
    const question = this.#ask(hashPart).finally(() => this.#questions.delete(hashPart))
    this.#questions.set(hashPart, question)
    return await question
  }

  /** The next `find` asks the upstream. */
  forget(hashPart: string): void {
    this.#known.delete(hashPart)
  }

  /** Asks the upstream no more. */
  close(): void {
    this.#isClosed = true
  }

  async #ask(hashPart: string): Promise<NarInfo | false> {
    const { client, name, log } = this.#options
    this.counts.lookups++
    try {
      const text = await client.readText(`${hashPart}.narinfo`)
      if (this.#breaker.succeeded()) log.info({ store: name }, 'An upstream answers again')
      const narInfo = text === undefined ? false : this.#accept(hashPart, text)
      this.counts[narInfo === false ? 'misses' : 'hits']++
      this.#known.set(hashPart, narInfo, narInfo === false ? missMs : hitMs)
      return narInfo
    } catch (error) {
      this.counts.failures++
      const problem = (error as Error).message
      if (this.#breaker.failed(problem))
        log.warn(
          { store: name, reason: problem },
          'An upstream does not answer: its paths count as absent until it does',
        )
      else log.debug({ store: name, reason: problem }, 'Cannot ask an upstream')
      return false
    }
  }

  #accept(hashPart: string, text: string): NarInfo | false {
    const { name, storeDir, publicKeys, log } = this.#options
    const narInfo = parseNarInfo(text, storeDir)
    const refuse = (reason: string): false => {
      log.warn({ store: name, hashPart, reason }, 'A narinfo of an upstream is not taken')
      return false
    }
    if (narInfo === undefined || hashPartOf(narInfo.storePath) !== hashPart)
      return refuse('it is malformed, or of another path or store directory')
    const fingerprint = formatFingerprint(narInfo)
    const isSigned = narInfo.signatures.some((signature) =>
      publicKeys.some((key) => verifySignature(key, fingerprint, signature)),
    )
    if (!isSigned) return refuse('no signature of a key in "publicKeys"')
    return isInside(narInfo.url) ? narInfo : refuse('its URL leads to another host')
  }
}

/** Relative to the cache's own URL, and below it. */
function isInside(url: string): boolean {
  return !url.startsWith('/') && !/^[a-z][a-z0-9+.-]*:/i.test(url) && !url.split(/[/?#]/).includes('..')
}
