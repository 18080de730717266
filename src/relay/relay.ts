/**
 * The near end as a local substituter: Nix asks it on loopback as it asks any binary cache, and it asks the far end in
 * ways that Nix does not know.
 *
 *     Nix ── relay-server ─┬─ narinfos ───────────── one question for a closure ──┐
 *                          ├─ verified-nar ─┬─ delta and the files of a base      ├─ line ── tunnel ── far end
 *                          │                └─ resumed-download or prefetch ──────┘
 *                          └─ uploads ── the push protocol
 */
import type { Server } from 'node:http'

import { BytesReader, startedReader, withCallbackOnClose } from '../chunk-readers.ts'
import type { ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import { createDecompressor, decompressSmall } from '../nar/decompress.ts'
import { parseCacheInfo } from '../nix/cache-info.ts'
import type { NarInfo } from '../nix/nar-info.ts'
import { hashPartOf } from '../nix/store-path.ts'
import { readAtMost } from '../read-at-most.ts'
import { filteredReader } from '../stream-reader.ts'
import type { Relay, RelayOptions, RelayStatus } from './contract.ts'
import { DeltaSources, wholeSizeOf } from './delta-sources.ts'
import { Line, probeTimeoutMs } from './line.ts'
import { type KnownPath, NarInfos } from './narinfos.ts'
import { Prefetch } from './prefetch.ts'
import { createRelayServer } from './relay-server.ts'
import { ResumedDownload } from './resumed-download.ts'
import { addTotals } from './totals.ts'
import { type NarSource, VerifiedNar } from './verified-nar.ts'

/** Nix opens 25 by itself, and small NARs are fetched ahead; questions must not wait behind those. */
const connections = 80
const defaultPriority = 30
/** A NAR that turned out wrong is left to other caches for so long. */
const condemnedMs = 600_000

export function openRelay(options: RelayOptions): Relay {
  return new NearEnd(options)
}

class NearEnd implements Relay {
  readonly #options: RelayOptions
  readonly #line: Line
  readonly #narInfos: NarInfos
  readonly #prefetch: Prefetch
  readonly #deltas: DeltaSources | undefined
  readonly #startedAt = new Date()
  /** By NAR hash: until when it is not served. */
  readonly #condemned = new Map<string, number>()
  #priority: number | undefined
  #counts = { underWay: 0, sent: 0, failed: 0, resumed: 0, byDelta: 0, narBytes: 0, savedByDeltas: 0 }

  constructor(options: RelayOptions) {
    const { url, authorization, version, storeDir, log, isHere, findLocal } = options
    this.#options = options
    this.#line = new Line({
      url,
      authorization,
      version,
      connections,
      now,
      onLogin: (isRefused) => {
        if (isRefused)
          log.warn({ url: this.#line.url }, 'The cache refuses the login: its paths count as absent until it is right')
        else log.info({ url: this.#line.url }, 'The cache accepts the login again')
      },
      onChange: (isUp, reason) => {
        if (isUp) log.info({ url: this.#line.url }, 'The cache can be reached again')
        else
          log.warn(
            { url: this.#line.url, reason },
            'The cache cannot be reached: its paths count as absent until it can',
          )
      },
    })
    this.#narInfos = new NarInfos({ line: this.#line, storeDir, wantsBases: findLocal !== undefined, now, log })
    this.#prefetch = new Prefetch({ open: (narInfo) => this.#download(narInfo.url), isHere, now })
    this.#deltas =
      findLocal &&
      new DeltaSources({
        findLocal,
        download: (url) => this.#download(url),
        bytesPerSecond: () => this.#line.bytesPerSecond,
      })
    void this.#learnPriority()
  }

  createServer(): Server {
    const { storeDir, uploads, mayConnect, log } = this.#options
    return createRelayServer({
      readCacheInfo: () => ({ storeDir, wantMassQuery: true, priority: this.#priority ?? defaultPriority }),
      findPath: async (hashPart) => {
        const path = await this.#narInfos.find(hashPart)
        if (path === undefined || this.#isCondemned(path.narInfo)) return undefined
        this.#prefetch.want(path.narInfo)
        return path
      },
      findNar: async (hashPart, narHash) => {
        const path = await this.#narInfos.findPatiently(hashPart, narHash, this.#options.patienceMs)
        return path === undefined || this.#isCondemned(path.narInfo) ? undefined : path
      },
      openNar: (path) => this.#openNar(path),
      line: this.#line,
      readStatus: () => this.status,
      ...(uploads && { uploads }),
      ...(mayConnect && { mayConnect }),
      log,
    })
  }

  get status(): RelayStatus {
    const { underWay, sent, failed, resumed, byDelta, narBytes, savedByDeltas } = this.#counts
    const totals = addTotals(this.#options.earlier, {
      since: this.#startedAt.toISOString(),
      narInfos: { asked: this.#narInfos.asked, recalled: this.#narInfos.recalled },
      nars: { sent, failed, prefetched: this.#prefetch.used, resumed, byDelta },
      bytes: { nars: narBytes, received: this.#line.receivedBytes, savedByDeltas },
    })
    return {
      ...totals,
      url: this.#line.url,
      problem: this.#line.problem ?? (this.#line.isLoginRefused ? 'it refuses the login (HTTP 401)' : null),
      storeDir: this.#options.storeDir,
      startedAt: this.#startedAt.toISOString(),
      nars: { ...totals.nars, underWay },
    }
  }

  [Symbol.dispose](): void {
    this.#prefetch[Symbol.dispose]()
    this.#line[Symbol.dispose]()
  }

  /** The verified NAR of a path. */
  #openNar(path: KnownPath): ChunkReader {
    const { narInfo } = path
    const delta = this.#deltas?.find(path)
    const sources: NarSource[] = [
      ...(delta === undefined ? [] : [delta]),
      { kind: 'whole', open: () => this.#openWhole(narInfo) },
    ]
    this.#counts.underWay++
    const nar = new VerifiedNar({
      narHash: narInfo.narHash,
      narSize: narInfo.narSize,
      sources,
      onFailure: (source, fault) => {
        if (source === delta) this.#deltas?.failed(delta, fault)
        this.#onFailure(narInfo, source, fault)
      },
      onVerified: ({ kind }) => {
        this.#counts.sent++
        this.#counts.narBytes += narInfo.narSize
        if (kind !== 'delta' || delta === undefined) return
        this.#counts.byDelta++
        this.#counts.savedByDeltas += Math.max(0, wholeSizeOf(narInfo) - delta.receivedBytes)
      },
    })
    return withCallbackOnClose(nar, () => void this.#counts.underWay--)
  }

  /** The far end may have the NAR under another URL by now: if it is gone, the narinfo is asked for once more. */
  async #openWhole(narInfo: NarInfo): Promise<ChunkReader> {
    try {
      return await this.#openStored(narInfo)
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'absent') throw error
      const hashPart = hashPartOf(narInfo.storePath)
      this.#narInfos.forget(hashPart)
      const current = await this.#narInfos.find(hashPart)
      if (current === undefined || !isSameNar(current.narInfo, narInfo) || current.narInfo.url === narInfo.url)
        throw error
      return await this.#openStored(current.narInfo)
    }
  }

  /** Resolves when there is a first chunk. */
  async #openStored(narInfo: NarInfo): Promise<ChunkReader> {
    const { compression, narSize, url } = narInfo
    const prefetched = await this.#prefetch.take(narInfo)
    const small = prefetched && decompressSmall(compression, prefetched, narSize)
    if (small !== undefined) return new BytesReader(small)
    const stored = prefetched === undefined ? this.#download(url) : new BytesReader(prefetched)
    const decompressor = createDecompressor(compression, this.#options.decompressors)
    return await startedReader(decompressor === undefined ? stored : filteredReader(stored, decompressor))
  }

  #download(path: string): ResumedDownload {
    const { patienceMs, log } = this.#options
    return new ResumedDownload({
      line: this.#line,
      path,
      patienceMs,
      now,
      random: Math.random,
      onResume: (at, reason) => {
        this.#counts.resumed++
        log.debug({ path, at, reason }, 'Continues a download')
      },
    })
  }

  #onFailure(narInfo: NarInfo, { kind }: NarSource, fault: unknown): void {
    const { log } = this.#options
    const { storePath, narHash } = narInfo
    if (kind === 'delta') {
      log.info({ storePath, reason: (fault as Error).message }, 'A delta is of no use: fetches the whole NAR')
      return
    }
    this.#counts.failed++
    this.#narInfos.forget(hashPartOf(storePath))
    if (!(fault instanceof Fault) || fault.code !== 'nar-mismatch')
      return log.warn({ storePath, reason: (fault as Error).message }, 'Cannot fetch a NAR')
    if (this.#condemned.size >= 1000) this.#condemned.clear()
    this.#condemned.set(narHash, now() + condemnedMs)
    log.error({ storePath, reason: fault.message }, 'The cache sent a wrong NAR: it is not served for ten minutes')
  }

  #isCondemned({ narHash }: NarInfo): boolean {
    return (this.#condemned.get(narHash) ?? 0) > now()
  }

  /** The priority decides in which order Nix asks its caches; it asks once in a long time. */
  async #learnPriority(): Promise<void> {
    try {
      const reply = await this.#line.request({ path: 'nix-cache-info', headerTimeoutMs: probeTimeoutMs })
      if (reply.statusCode !== 200) return void reply.resume()
      const info = parseCacheInfo((await readAtMost(reply, 4096))?.toString('utf8') ?? '')
      if (info !== undefined) this.#priority = info.priority
    } catch {
      // The line says so by itself.
    }
  }
}

function isSameNar(left: NarInfo, right: NarInfo): boolean {
  return left.narHash === right.narHash && left.narSize === right.narSize
}

const now = () => performance.now()
