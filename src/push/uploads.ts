/**
 * Sends NARs: read in order, compressed by several threads, sent by several connections, with bounded memory. Small
 * ones go together in batches and first, since they also tell how fast the line is; then the large ones in parts, the
 * largest first.
 */

import { NarParts, PartsHash } from '../nar/nar-parts.ts'
import { batchNarBytes } from '../nar/part-ranges.ts'
import type { LocalObject } from './closure.ts'
import type { FarEnd, FarReply } from './far-end.ts'
import { compressFrame, contentDigest } from './frames.ts'
import { LevelChooser } from './level-chooser.ts'
import type { BatchEntry, BatchHeader, BatchReply, PushInfo } from './protocol.ts'
import type { PushEvent } from './push-event.ts'
import { PushFault } from './push-fault.ts'
import { TaskGroup } from './task-group.ts'

export interface UploadsOptions {
  readonly farEnd: FarEnd
  readonly info: PushInfo
  readonly jobs: number
  readonly level: number
  readonly report: (event: PushEvent) => void
}

export interface MissingNar {
  readonly object: LocalObject
  /** Indices of the parts that the cache has. */
  readonly have: ReadonlySet<number>
}

const slowBitsPerSecond = 4_000_000
const slowPartBytes = 2 * 1024 * 1024

/** Parts that the cache calls damaged: each was right when it left. */
const maxDamaged = 5

class PartTooLarge extends Error {}

export class Uploads {
  readonly #options: UploadsOptions
  readonly #jobs: TaskGroup
  readonly #level: LevelChooser
  #partBytes: number
  /** While at least one request was under way. */
  #sentMs = 0
  narBytes = 0
  wireBytes = 0

  constructor(options: UploadsOptions) {
    this.#options = options
    this.#jobs = new TaskGroup(options.jobs)
    this.#level = new LevelChooser(options.level, options.jobs)
    this.#partBytes = options.info.partBytes.default
  }

  /** Bytes of NAR in a part from now on. */
  get partBytes(): number {
    return this.#partBytes
  }

  /**
   * Resolves when all of it was taken, or with `resized` when the line wants parts of another size: the caller asks for
   * a new plan then. Rejects with the first PushFault or Fault; what is under way is waited for.
   */
  async send(missing: readonly MissingNar[]): Promise<'sent' | 'resized'> {
    // Two paths may have one NAR.
    const nars = [...new Map(missing.map((nar) => [nar.object.info.narHash, nar])).values()]
    const isSmall = ({ object }: MissingNar) => object.info.narSize <= batchNarBytes
    await this.#sendSmall(nars.filter(isSmall))
    const large = nars
      .filter((nar) => !isSmall(nar))
      .sort((left, right) => right.object.info.narSize - left.object.info.narSize)
    if (large.length === 0) return 'sent'
    if (this.#isSlowLine() && this.#resize(slowPartBytes)) return 'resized'
    try {
      for (const nar of large) await this.#sendLarge(nar)
      await this.#jobs.drain()
      return 'sent'
    } catch (error) {
      if (!(error instanceof PartTooLarge)) throw error
      this.#jobs.forgetFailure()
      if (this.#resize(this.#partBytes / 2)) return 'resized'
      throw new PushFault(
        'refused',
        `The edge in front of ${this.#options.farEnd.url} refuses even parts of ${this.#partBytes} bytes (HTTP 413)`,
        {
          cause: error,
        },
      )
    }
  }

  /** A part should be over in less than half a minute, or a line that breaks once a minute never gets one through. */
  #isSlowLine(): boolean {
    return this.#sentMs > 2000 && (this.wireBytes * 8) / (this.#sentMs / 1000) < slowBitsPerSecond
  }

  /** False when parts cannot be smaller. */
  #resize(partBytes: number): boolean {
    const next = Math.max(this.#options.info.partBytes.min, partBytes)
    if (next >= this.#partBytes) return false
    this.#partBytes = next
    return true
  }

  async #sendSmall(nars: readonly MissingNar[]): Promise<void> {
    let entries: BatchEntry[] = []
    let frames: Buffer[] = []
    let bytes = 0
    const flush = async () => {
      if (entries.length === 0) return
      const [sentEntries, sentFrames] = [entries, frames]
      entries = []
      frames = []
      bytes = 0
      await this.#jobs.run(() => this.#sendBatch(sentEntries, sentFrames))
    }
    for (const { object } of nars) {
      const nar = await readWhole(object)
      const frame = await compressFrame(nar, this.#options.level)
      const { narHash, narSize } = object.info
      // The header has some 130 bytes for each.
      if (bytes + frame.length + 200 * (entries.length + 1) > this.#options.info.batchBytes / 2) await flush()
      entries.push({ narHash, narSize, bytes: frame.length })
      frames.push(frame)
      bytes += frame.length
    }
    await flush()
    await this.#jobs.drain()
  }

  async #sendBatch(entries: readonly BatchEntry[], frames: readonly Buffer[]): Promise<void> {
    const body = Buffer.concat([Buffer.from(`${JSON.stringify({ entries } satisfies BatchHeader)}\n`), ...frames])
    const startedMs = performance.now()
    const reply = await this.#sendIntact({
      method: 'POST',
      path: 'v1/push/batch',
      body,
      contentType: 'application/octet-stream',
    })
    if (reply.status >= 300) throw this.#options.farEnd.refusal(reply)
    const { entries: taken } = JSON.parse(reply.body.toString()) as BatchReply
    const refused = taken.find(({ status }) => status === 'refused')
    if (refused !== undefined)
      throw new PushFault(
        'refused',
        `${this.#options.farEnd.url} refused the NAR ${refused.narHash}: ${refused.reason ?? 'no reason given'}`,
      )
    this.#count(
      entries.reduce((sum, { narSize }) => sum + narSize, 0),
      body.length,
    )
    this.#sentMs += performance.now() - startedMs
  }

  /** Begins with each part when there is room for it; those of the next NAR follow without a gap. */
  async #sendLarge({ object, have }: MissingNar): Promise<void> {
    const { narHash, narSize, storePath } = object.info
    const parts = await NarParts.open(object.form.realPath, this.#partBytes)
    if (parts.narSize !== narSize)
      throw changed(storePath, `its NAR has ${parts.narSize} bytes, its record says ${narSize}`)
    const hash = have.size === 0 ? new PartsHash() : undefined
    for (let index = 0; index < parts.count; index++) {
      if (have.has(index)) continue
      await this.#jobs.untilFree()
      const part = await parts.read(index)
      hash?.add(part)
      // The last part of a NAR that is not what its record says never leaves.
      if (index === parts.count - 1 && hash !== undefined && hash.digest() !== narHash)
        throw changed(storePath, 'its NAR has another hash than its record says')
      void this.#jobs.start(() =>
        this.#sendPart(`v1/push/nar/${narHash.slice('sha256:'.length)}/${narSize}/${parts.partBytes}/${index}`, part),
      )
    }
  }

  async #sendPart(path: string, part: Buffer): Promise<void> {
    const level = this.#level.current
    const startedMs = performance.now()
    const body = await compressFrame(part, level)
    const compressedMs = performance.now()
    const reply = await this.#sendIntact({ method: 'PUT', path, body, contentType: 'application/zstd' })
    this.#level.learn(level, compressedMs - startedMs, performance.now() - compressedMs)
    // The cache itself answers in JSON: this is the edge's limit on bodies.
    if (reply.status === 413 && !/^application\/json/.test(reply.headers['content-type'] ?? ''))
      throw new PartTooLarge()
    // 409: somebody else has completed this NAR meanwhile.
    if (reply.status >= 300 && reply.status !== 409) throw this.#options.farEnd.refusal(reply)
    this.#count(part.length, body.length)
  }

  /** Sends again what arrived damaged. */
  async #sendIntact({
    method,
    path,
    body,
    contentType,
  }: {
    method: 'PUT' | 'POST'
    path: string
    body: Buffer
    contentType: string
  }): Promise<FarReply> {
    const headers = { 'content-type': contentType, 'content-digest': contentDigest(body), accept: 'application/json' }
    for (let damaged = 0; ; damaged++) {
      const reply = await this.#options.farEnd.request({ method, path, headers, body })
      if (reply.status !== 422 || damaged === maxDamaged) return reply
    }
  }

  #count(narBytes: number, wireBytes: number): void {
    this.narBytes += narBytes
    this.wireBytes += wireBytes
    this.#options.report({ event: 'sent', narBytes, wireBytes })
  }
}

async function readWhole({ info: { storePath, narHash, narSize }, form }: LocalObject): Promise<Buffer> {
  const parts = await NarParts.open(form.realPath, batchNarBytes)
  if (parts.narSize !== narSize)
    throw changed(storePath, `its NAR has ${parts.narSize} bytes, its record says ${narSize}`)
  const nar = await parts.read(0)
  const hash = new PartsHash()
  hash.add(nar)
  if (hash.digest() !== narHash) throw changed(storePath, 'its NAR has another hash than its record says')
  return nar
}

function changed(storePath: string, how: string): PushFault {
  return new PushFault(
    'unreadable',
    `Cannot push "${storePath}": ${how}; run "nix-store --verify-path ${storePath}" and repair it`,
  )
}
