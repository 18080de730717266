/**
 * Another binary cache, asked for what is not here. A narinfo counts only with a signature of one of its keys; a NAR is
 * verified while it streams through. It is fetched once however many ask, and handed to a keeper (the depot) when there
 * is one: from then on it is ours. An upstream that is ill is never an error of ours: its paths are absent, and it is
 * left alone for a while.
 */
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'

import type { ByteRange, ChunkReader } from '../../chunks.ts'
import type { ChunkBuffers } from '../../disk/chunk-buffers.ts'
import { FileReader } from '../../disk/file-reader.ts'
import type { OpenFiles } from '../../disk/open-files.ts'
import { Fault } from '../../faults.ts'
import type { Log } from '../../log.ts'
import { createDecompressor, type Decompressors } from '../../nar/decompress.ts'
import { formatFingerprint } from '../../nix/fingerprint.ts'
import { type NarInfo, toPathInfo } from '../../nix/nar-info.ts'
import { encodeNix32 } from '../../nix/nix32.ts'
import { parseNarInfo } from '../../nix/parse-nar-info.ts'
import { verifySignature } from '../../nix/signature.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import { createDecoding } from '../file-form.ts'
import type { StoreHealth } from '../health.ts'
import { type FileForm, noLeases, type Store, type StoreObject } from '../store.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import { ExpiringMap } from './expiring-map.ts'
import { Spool, type VerifiedNar } from './spool.ts'
import { UpstreamClient } from './upstream-client.ts'

export interface UpstreamStoreOptions {
  /** Without credentials. */
  readonly url: URL
  readonly authorization: string | undefined
  /** `name:base64`; at least one. */
  readonly publicKeys: readonly string[]
  readonly storeDir: string
  /** For NARs being downloaded. Absolute, exists, and is used by this store only. */
  readonly spoolDir: string
  /** Takes over each verified NAR; rejects when it cannot. Undefined: nothing is kept. */
  readonly keep: ((nar: VerifiedNar) => Promise<void>) | undefined
  readonly files: OpenFiles
  readonly buffers: ChunkBuffers
  readonly decompressors: Decompressors
  readonly version: string
  readonly log: Log
  /** Milliseconds of a steady clock. */
  readonly now: () => number
}

/** A narinfo that takes longer counts as absent: the client has other caches. */
const findTimeoutMs = 5_000
const stallMs = 60_000
/** Questions at once; more are answered with absent. */
const maxQuestions = 256
const missMs = 30_000
const hitMs = 600_000
const maxRemembered = 20_000
/** A NAR that is not kept stays for clients that continue a broken download. */
const lingerMs = 120_000

export interface UpstreamStore extends Store, AsyncDisposable {}

export function openUpstreamStore(options: UpstreamStoreOptions): UpstreamStore {
  return new Upstream(options)
}

class Upstream implements UpstreamStore {
  readonly name: string
  readonly storeDir: string
  readonly leases = noLeases
  readonly #options: UpstreamStoreOptions
  readonly #client: UpstreamClient
  readonly #breaker: CircuitBreaker
  /** By hash part; false for what is absent there. */
  readonly #known: ExpiringMap<NarInfo | false>
  readonly #withdrawn: ExpiringMap<string>
  readonly #questions = new Map<string, Promise<NarInfo | false>>()
  readonly #spools = new Map<string, Spool>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #counts = { lookups: 0, hits: 0, misses: 0, failures: 0, skipped: 0, receivedBytes: 0 }
  #withdrawals = 0
  #isClosed = false

  constructor(options: UpstreamStoreOptions) {
    const { url, authorization, storeDir, version, now } = options
    this.#options = options
    this.name = `upstream:${url.href.replace(/\/$/, '')}`
    this.storeDir = storeDir
    const base = new URL(url.href.endsWith('/') ? url.href : `${url.href}/`)
    this.#client = new UpstreamClient({
      url: base,
      authorization,
      headerTimeoutMs: findTimeoutMs,
      userAgent: `burrow/${version}`,
    })
    this.#breaker = new CircuitBreaker(now)
    this.#known = new ExpiringMap(maxRemembered, now)
    this.#withdrawn = new ExpiringMap(maxRemembered, now)
  }

  /** Nothing is found here without a promise, so nothing that is remembered depends on this number. */
  generation(): number {
    return 0
  }

  async find(hashPart: string, fits?: (object: StoreObject) => boolean): Promise<StoreObject | undefined> {
    const narInfo = await this.#findNarInfo(hashPart)
    if (narInfo === false || this.#withdrawn.find(narInfo.storePath) === narInfo.narHash) return undefined
    const object = this.#toObject(narInfo)
    return fits === undefined || fits(object) ? object : undefined
  }

  findSystem(): undefined {
    return undefined
  }

  async openLog(): Promise<undefined> {
    return undefined
  }

  async findRealisation(): Promise<undefined> {
    return undefined
  }

  withdraw({ info }: StoreObject, fault: Fault): void {
    this.#withdrawals++
    this.#withdrawn.set(info.storePath, info.narHash, hitMs)
    this.#known.delete(hashPartOf(info.storePath))
    this.#options.log.error(
      { storePath: info.storePath, store: this.name, code: fault.code, err: fault },
      'A path of an upstream was withdrawn: its NAR contradicts its narinfo',
    )
  }

  health(): StoreHealth {
    const { problem } = this.#breaker
    return {
      name: this.name,
      type: 'upstream',
      location: this.#options.url.href,
      isReadable: problem === undefined,
      mode: undefined,
      problem,
      withdrawn: { now: this.#withdrawn.size, total: this.#withdrawals },
      leases: undefined,
      upstream: { ...this.#counts, isBreakerOpen: problem !== undefined },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    for (const timer of this.#timers) clearTimeout(timer)
    await Promise.all([...this.#spools.values()].map((spool) => spool.close()))
    this.#spools.clear()
    this.#client[Symbol.dispose]()
  }

  async #findNarInfo(hashPart: string): Promise<NarInfo | false> {
    const known = this.#known.find(hashPart)
    if (known !== undefined) return known
    const asked = this.#questions.get(hashPart)
    if (asked !== undefined) return await asked
    if (this.#isClosed || this.#questions.size >= maxQuestions || !this.#breaker.mayAsk()) {
      this.#counts.skipped++
      return false
    }
    const question = this.#ask(hashPart).finally(() => this.#questions.delete(hashPart))
    this.#questions.set(hashPart, question)
    return await question
  }

  /** Never rejects: what cannot be asked is absent. */
  async #ask(hashPart: string): Promise<NarInfo | false> {
    const { log } = this.#options
    this.#counts.lookups++
    try {
      const text = await this.#client.readText(`${hashPart}.narinfo`)
      if (this.#breaker.succeeded()) log.info({ store: this.name }, 'An upstream answers again')
      const narInfo = text === undefined ? false : this.#accept(hashPart, text)
      this.#counts[narInfo === false ? 'misses' : 'hits']++
      this.#known.set(hashPart, narInfo, narInfo === false ? missMs : hitMs)
      return narInfo
    } catch (error) {
      this.#counts.failures++
      const problem = (error as Error).message
      if (this.#breaker.failed(problem))
        log.warn(
          { store: this.name, reason: problem },
          'An upstream does not answer: its paths count as absent until it does',
        )
      else log.debug({ store: this.name, reason: problem }, 'Cannot ask an upstream')
      return false
    }
  }

  #accept(hashPart: string, text: string): NarInfo | false {
    const { storeDir, publicKeys, log } = this.#options
    const narInfo = parseNarInfo(text, storeDir)
    const refuse = (reason: string): false => {
      log.warn({ store: this.name, hashPart, reason }, 'A narinfo of an upstream is not taken')
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

  #toObject(narInfo: NarInfo): StoreObject {
    return {
      info: toPathInfo(narInfo),
      form: this.#toForm(narInfo),
      store: this,
      trust: 'as-signed',
    }
  }

  #toForm(narInfo: NarInfo): FileForm {
    const { compression, narHash, narSize } = narInfo
    const isPlain = compression === 'none'
    const fileHash = narInfo.fileHash ?? (isPlain ? narHash : undefined)
    const open = (range?: ByteRange) => this.#open(narInfo, range)
    return {
      kind: 'file',
      compression,
      id: fileHash?.slice('sha256:'.length) ?? idOf(this.name, narInfo),
      fileHash,
      fileSize: narInfo.fileSize ?? (isPlain ? narSize : undefined),
      settle: () => this.#spoolOf(narInfo).settle(),
      open,
      ...createDecoding({ compression, open }, this.#options.decompressors),
    }
  }

  async #open(narInfo: NarInfo, range: ByteRange | undefined): Promise<ChunkReader> {
    const refuseRest = (): never => {
      throw new Fault('busy', 'A NAR from an upstream cannot be continued')
    }
    return new FileReader(this.#spoolOf(narInfo).enter(), range, this.#options.buffers, refuseRest)
  }

  /** The one download of this NAR. */
  #spoolOf(narInfo: NarInfo): Spool {
    if (this.#isClosed) throw new Fault('abandoned', 'Cannot fetch from an upstream: the cache is closing')
    const key = `${narInfo.narHash} ${narInfo.url}`
    const present = this.#spools.get(key)
    if (present !== undefined && present.outcome?.kind !== 'fault') return present
    const { spoolDir, files, decompressors } = this.#options
    const spool: Spool = new Spool({
      client: this.#client,
      narInfo,
      file: join(spoolDir, `upstream-${randomBytes(12).toString('hex')}`),
      files,
      createDecompressor: () => createDecompressor(narInfo.compression, decompressors),
      stallMs,
      onReceived: (bytes) => (this.#counts.receivedBytes += bytes),
      onVerified: (nar) => this.#keep(nar),
      onIdle: () => this.#linger(key, spool),
    })
    this.#spools.set(key, spool)
    return spool
  }

  async #keep(nar: VerifiedNar): Promise<void> {
    const { keep, log } = this.#options
    try {
      await keep?.(nar)
    } catch (error) {
      log.warn(
        { store: this.name, storePath: nar.narInfo.storePath, err: error },
        'A NAR from an upstream was not kept',
      )
    }
  }

  #linger(key: string, spool: Spool): void {
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer)
        if (!spool.isIdle) return
        if (this.#spools.get(key) === spool) this.#spools.delete(key)
        void spool.close()
      },
      spool.outcome?.kind === 'fault' ? 0 : lingerMs,
    ).unref()
    this.#timers.add(timer)
  }
}

/** Relative to the cache's own URL, and below it. */
function isInside(url: string): boolean {
  return !url.startsWith('/') && !/^[a-z][a-z0-9+.-]*:/i.test(url) && !url.split(/[/?#]/).includes('..')
}

/** Names the bytes as well as can be before they are here: what an upstream serves under one URL for one NAR. */
function idOf(name: string, { url, narHash }: NarInfo): string {
  return encodeNix32(createHash('sha256').update(`${name}\n${url}\n${narHash}`).digest())
}
