/**
 * The NARs of an upstream that are being downloaded, or were lately: one download for each, which all its readers
 * share.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'

import type { OpenFiles } from '../../disk/open-files.ts'
import { Fault } from '../../faults.ts'
import type { Log } from '../../log.ts'
import { createDecompressor, type Decompressors } from '../../nar/decompress.ts'
import type { NarInfo } from '../../nix/nar-info.ts'
import { Spool, type VerifiedNar } from './spool.ts'
import type { UpstreamClient } from './upstream-client.ts'

export interface SpoolsOptions {
  /** Of the store, for the log. */
  readonly name: string
  readonly client: UpstreamClient
  /** Absolute, exists, and is used by this store only. */
  readonly spoolDir: string
  /** Takes over each verified NAR; rejects when it cannot. Undefined: nothing is kept. */
  readonly keep: ((nar: VerifiedNar) => Promise<void>) | undefined
  readonly files: OpenFiles
  readonly decompressors: Decompressors
  readonly log: Log
}

const stallMs = 60_000
/** A NAR that is not kept stays for clients that continue a broken download. */
const lingerMs = 120_000

export class Spools implements AsyncDisposable {
  readonly #options: SpoolsOptions
  readonly #spools = new Map<string, Spool>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #receivedBytes = 0
  #isClosed = false

  constructor(options: SpoolsOptions) {
    this.#options = options
  }

  /** Bytes of NAR files, compressed as the upstream has them. */
  get receivedBytes(): number {
    return this.#receivedBytes
  }

  /** The one download of this NAR. @throws {Fault} abandoned */
  get(narInfo: NarInfo): Spool {
    if (this.#isClosed) throw new Fault('abandoned', 'Cannot fetch from an upstream: the cache is closing')
    const key = `${narInfo.narHash} ${narInfo.url}`
    const present = this.#spools.get(key)
    if (present !== undefined && present.outcome?.kind !== 'fault') return present
    const { client, spoolDir, files, decompressors } = this.#options
    const spool: Spool = new Spool({
      client,
      narInfo,
      file: join(spoolDir, `upstream-${randomBytes(12).toString('hex')}`),
      files,
      createDecompressor: () => createDecompressor(narInfo.compression, decompressors),
      stallMs,
      onReceived: (bytes) => (this.#receivedBytes += bytes),
      onVerified: (nar) => this.#keep(nar),
      onIdle: () => this.#linger(key, spool),
    })
    this.#spools.set(key, spool)
    return spool
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    for (const timer of this.#timers) clearTimeout(timer)
    await Promise.all([...this.#spools.values()].map((spool) => spool.close()))
    this.#spools.clear()
  }

  async #keep(nar: VerifiedNar): Promise<void> {
    const { name, keep, log } = this.#options
    try {
      await keep?.(nar)
    } catch (error) {
      log.warn({ store: name, storePath: nar.narInfo.storePath, err: error }, 'A NAR from an upstream was not kept')
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
