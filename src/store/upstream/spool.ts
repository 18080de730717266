/**
 * One NAR on its way from an upstream: written to a file as it comes, verified at the same time, read by every client
 * that asks for it during the download. No reader gets the last chunk before hash and size were found right. A
 * connection that breaks is continued where it broke.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import type { Duplex } from 'node:stream'

import { Changes, type Outcome, type Source } from '../../disk/file-source.ts'
import type { OpenFile, OpenFiles } from '../../disk/open-files.ts'
import { Fault } from '../../faults.ts'
import { formatSha256 } from '../../nix/hash.ts'
import type { NarInfo } from '../../nix/nar-info.ts'
import { withStallLimit } from './stall-limit.ts'
import type { UpstreamClient } from './upstream-client.ts'
import { Verification } from './verification.ts'

export interface SpoolOptions {
  readonly client: UpstreamClient
  readonly narInfo: NarInfo
  /** Absolute; made exclusively, 0600. */
  readonly file: string
  readonly files: OpenFiles
  /** A new one, or undefined for what is not compressed. */
  readonly createDecompressor: () => Duplex | undefined
  /** Without a byte for so long, a connection is given up. */
  readonly stallMs: number
  /** For each chunk, with its length. */
  readonly onReceived: (bytes: number) => void
  /** With the verified file, before readers get their last chunk; may move the file away. Never rejects. */
  readonly onVerified: (nar: VerifiedNar) => Promise<void>
  /** When the download has ended and the last reader has left. */
  readonly onIdle: () => void
}

export interface VerifiedNar {
  readonly narInfo: NarInfo
  readonly file: string
  /** `sha256:<52 Nix32>` of the file. */
  readonly fileHash: string
  readonly fileSize: number
}

/** Connections for one NAR that bring nothing. */
const maxFailures = 5

export class Spool {
  readonly #options: SpoolOptions
  readonly #changes = new Changes()
  readonly #fileHash = createHash('sha256')
  readonly #ended: Promise<void>
  readonly #sized = Promise.withResolvers<number>()
  readonly #abort = new AbortController()
  #openFile: OpenFile | undefined
  #written = 0
  #size: number | undefined
  #outcome: Outcome | undefined
  #readers = 0

  constructor(options: SpoolOptions) {
    this.#options = options
    this.#size = options.narInfo.fileSize
    this.#sized.promise.catch(() => {})
    this.#ended = this.#run()
  }

  get outcome(): Outcome | undefined {
    return this.#outcome
  }

  get isIdle(): boolean {
    return this.#outcome !== undefined && this.#readers === 0
  }

  /** The size of the file, as soon as it is known. Rejects with the download's fault. */
  async settle(): Promise<number> {
    return this.#size ?? (await this.#sized.promise)
  }

  /** One more reader. */
  enter(): Source {
    this.#readers++
    const spool = this
    let isIn = true
    return {
      get file() {
        return spool.#openFile
      },
      get readableBytes() {
        return spool.#openFile === undefined ? 0 : spool.#written
      },
      get size() {
        return spool.#size
      },
      get outcome() {
        return spool.#outcome
      },
      onChange: spool.#changes.onChange,
      condemn: (cause) =>
        new Fault('busy', `Cannot read back the NAR of "${spool.#options.narInfo.storePath}"`, { cause }),
      isUnchanged: () => true,
      wantsHash: false,
      confirm: async () => {},
      leave() {
        if (!isIn) return
        isIn = false
        spool.#readers--
        if (spool.isIdle) spool.#options.onIdle()
      },
    }
  }

  /** Ends the download, and removes the file. Readers under way get a fault. */
  async close(): Promise<void> {
    this.#abort.abort()
    await this.#ended
    this.#openFile?.release()
    this.#openFile = undefined
    await rm(this.#options.file, { force: true })
  }

  async #run(): Promise<void> {
    const { narInfo, file, files, onVerified, onIdle } = this.#options
    try {
      await using handle = await open(file, 'wx', 0o600)
      this.#openFile = await files.open(file)
      const verification = new Verification(narInfo, this.#options.createDecompressor())
      try {
        await this.#download(handle, verification)
        await verification.end()
      } finally {
        verification.close()
      }
      const fileHash = formatSha256(this.#fileHash.digest())
      if (narInfo.fileHash !== undefined && fileHash !== narInfo.fileHash) {
        throw new Fault(
          'nar-mismatch',
          `The upstream's file for "${narInfo.storePath}" has the hash ${fileHash} instead of ${narInfo.fileHash}`,
        )
      }
      await onVerified({ narInfo, file, fileHash, fileSize: this.#written })
      this.#end({ kind: 'whole', size: this.#written })
    } catch (error) {
      this.#end({ kind: 'fault', fault: toFault(error) })
    }
    if (this.isIdle) onIdle()
  }

  async #download(handle: FileHandle, verification: Verification): Promise<void> {
    const { narInfo } = this.#options
    for (let failures = 0; ; ) {
      const before = this.#written
      try {
        if (await this.#downloadOnce(handle, verification)) return
      } catch (error) {
        const isPassing = !(error instanceof Fault) || error.code === 'store-unavailable'
        failures = this.#written > before ? 0 : failures + 1
        if (!isPassing || this.#abort.signal.aborted || failures >= maxFailures) throw error
      }
      if (this.#written === before && ++failures >= maxFailures) {
        throw new Fault(
          'busy',
          `The upstream ends "${narInfo.url}" at byte ${this.#written} of ${this.#size ?? 'an unknown number'} each time`,
        )
      }
    }
  }

  /** True when the whole is here. */
  async #downloadOnce(handle: FileHandle, verification: Verification): Promise<boolean> {
    const { client, narInfo, stallMs } = this.#options
    const { size, start, body } = await client.open(narInfo.url, this.#written)
    this.#learnSize(size)
    let at = start
    for await (const chunk of withStallLimit(body, stallMs, this.#abort.signal)) {
      // A server without ranges begins at the beginning.
      const fresh = chunk.subarray(Math.min(chunk.length, Math.max(0, this.#written - at)))
      at += chunk.length
      if (fresh.length > 0) await this.#take(handle, verification, fresh)
    }
    return this.#size === undefined || this.#written >= this.#size
  }

  async #take(handle: FileHandle, verification: Verification, bytes: Buffer): Promise<void> {
    if (this.#size !== undefined && this.#written + bytes.length > this.#size) {
      throw new Fault(
        'nar-mismatch',
        `The upstream's file for "${this.#options.narInfo.storePath}" is longer than ${this.#size} bytes`,
      )
    }
    await handle.write(bytes, 0, bytes.length, this.#written)
    this.#fileHash.update(bytes)
    await verification.add(bytes)
    this.#written += bytes.length
    this.#options.onReceived(bytes.length)
    this.#changes.announce()
  }

  #learnSize(size: number | undefined): void {
    if (size === undefined) return
    this.#size ??= size
    this.#sized.resolve(this.#size)
    if (this.#size !== size)
      throw new Fault(
        'nar-mismatch',
        `The upstream's file for "${this.#options.narInfo.storePath}" has ${size} bytes instead of ${this.#size}`,
      )
  }

  #end(outcome: Outcome): void {
    this.#outcome = outcome
    if (outcome.kind === 'whole') {
      this.#size = outcome.size
      this.#sized.resolve(outcome.size)
    } else if (outcome.kind === 'fault') this.#sized.reject(outcome.fault)
    this.#changes.announce()
  }
}

/** A failure of the connection or of the disk is no evidence against the object. */
function toFault(error: unknown): Fault {
  if (error instanceof Fault && error.code !== 'store-unavailable') return error
  return new Fault('busy', `Cannot fetch from the upstream: ${(error as Error).message}`, { cause: error })
}
