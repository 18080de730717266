/**
 * Another binary cache, asked for what is not here. A narinfo counts only with a signature of one of its keys; a NAR is
 * verified while it streams through. It is fetched once however many ask, and handed to a keeper (the depot) when there
 * is one: from then on it is ours. An upstream that is ill is never an error of ours: its paths are absent, and it is
 * left alone for a while.
 */
import { createHash } from 'node:crypto'

import type { ByteRange, ChunkReader } from '../../chunks.ts'
import type { ChunkBuffers } from '../../disk/chunk-buffers.ts'
import { FileReader } from '../../disk/file-reader.ts'
import { Fault } from '../../faults.ts'
import { type NarInfo, toPathInfo } from '../../nix/nar-info.ts'
import { encodeNix32 } from '../../nix/nix32.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import { createDecoding } from '../file-form.ts'
import type { StoreHealth } from '../health.ts'
import { type FileForm, noLeases, type Store, type StoreObject } from '../store.ts'
import { ExpiringMap } from './expiring-map.ts'
import { Spools, type SpoolsOptions } from './spools.ts'
import { UpstreamClient } from './upstream-client.ts'
import { UpstreamNarInfos, type UpstreamNarInfosOptions } from './upstream-narinfos.ts'

export interface UpstreamStoreOptions
  extends Omit<UpstreamNarInfosOptions, 'name' | 'client'>,
    Omit<SpoolsOptions, 'name' | 'client'> {
  /** Without credentials. */
  readonly url: URL
  readonly authorization: string | undefined
  readonly buffers: ChunkBuffers
  readonly version: string
}

/** A narinfo that takes longer counts as absent: the client has other caches. */
const findTimeoutMs = 5_000
/** As long as its narinfo would be remembered. */
const withdrawnMs = 600_000
const maxWithdrawn = 20_000

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
  readonly #narInfos: UpstreamNarInfos
  readonly #spools: Spools
  readonly #withdrawn: ExpiringMap<string>
  #withdrawals = 0

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
    const parts = { ...options, client: this.#client, name: this.name }
    this.#narInfos = new UpstreamNarInfos(parts)
    this.#spools = new Spools(parts)
    this.#withdrawn = new ExpiringMap(maxWithdrawn, now)
  }

  /** Nothing is found here without a promise, so nothing that is remembered depends on this number. */
  generation(): number {
    return 0
  }

  async find(hashPart: string, fits?: (object: StoreObject) => boolean): Promise<StoreObject | undefined> {
    const narInfo = await this.#narInfos.find(hashPart)
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
    this.#withdrawn.set(info.storePath, info.narHash, withdrawnMs)
    this.#narInfos.forget(hashPartOf(info.storePath))
    this.#options.log.error(
      { storePath: info.storePath, store: this.name, code: fault.code, err: fault },
      'A path of an upstream was withdrawn: its NAR contradicts its narinfo',
    )
  }

  health(): StoreHealth {
    const { problem, counts } = this.#narInfos
    return {
      name: this.name,
      type: 'upstream',
      location: this.#options.url.href,
      isReadable: problem === undefined,
      mode: undefined,
      problem,
      withdrawn: { now: this.#withdrawn.size, total: this.#withdrawals },
      leases: undefined,
      upstream: { ...counts, receivedBytes: this.#spools.receivedBytes, isBreakerOpen: problem !== undefined },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#narInfos.close()
    await this.#spools[Symbol.asyncDispose]()
    this.#client[Symbol.dispose]()
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
      settle: () => this.#spools.get(narInfo).settle(),
      open,
      ...createDecoding({ compression, open }, this.#options.decompressors),
    }
  }

  async #open(narInfo: NarInfo, range: ByteRange | undefined): Promise<ChunkReader> {
    const refuseRest = (): never => {
      throw new Fault('busy', 'A NAR from an upstream cannot be continued')
    }
    return new FileReader(this.#spools.get(narInfo).enter(), range, this.#options.buffers, refuseRest)
  }
}

/** Names the bytes as well as can be before they are here: what an upstream serves under one URL for one NAR. */
function idOf(name: string, { url, narHash }: NarInfo): string {
  return encodeNix32(createHash('sha256').update(`${name}\n${url}\n${narHash}`).digest())
}
