/**
 * Sends NARs: read in order, compressed by several threads, sent over several connections, with bounded memory. Small
 * NARs are sent first, many in one batch, which also measures the line. Large NARs follow in parts, the largest first.
 */
import { PartsHash } from '../nar/nar-parts.ts'
import { batchNarBytes } from '../nar/part-ranges.ts'
import type { FarEnd } from './far-end.ts'
import { compressFrame } from './frames.ts'
import { LevelChooser } from './level-chooser.ts'
import { openParts, type PushedObject } from './object-parts.ts'
import type { BatchReply, PushInfo } from './protocol.ts'
import type { PushEvent } from './push-event.ts'
import { PushFault } from './push-fault.ts'
import { Sender } from './sender.ts'
import { Batch, costOf, readFrames, wrongHash, wrongSize } from './small-nars.ts'
import { TaskGroup } from './task-group.ts'

export interface UploadsOptions {
  readonly farEnd: FarEnd
  readonly info: PushInfo
  readonly jobs: number
  readonly level: number
  readonly report: (event: PushEvent) => void
}

export interface MissingNar {
  readonly object: PushedObject
  /** Indices of the parts that are already stored. */
  readonly have: ReadonlySet<number>
}

const slowBitsPerSecond = 4_000_000
const slowPartBytes = 2 * 1024 * 1024

/** Number of batches for the small NARs of one plan, unless that makes them too large. */
const smallBatches = 3

class PartTooLarge extends Error {}

export class Uploads {
  readonly #options: UploadsOptions
  readonly #jobs: TaskGroup
  readonly #level: LevelChooser
  readonly #sender: Sender
  #partBytes: number
  narBytes = 0
  wireBytes = 0

  constructor(options: UploadsOptions) {
    this.#options = options
    this.#sender = new Sender(options.farEnd)
    this.#jobs = new TaskGroup(options.jobs)
    this.#level = new LevelChooser(options.level, options.jobs)
    this.#partBytes = options.info.partBytes.default
  }

  /** Current part size, in bytes of the uncompressed NAR. */
  get partBytes(): number {
    return this.#partBytes
  }

  /**
   * Resolves when everything was accepted, or with `resized` when the part size was changed; the caller then needs a new
   * plan. Rejects with the first PushFault or Fault, after all running requests have ended.
   */
  async send(missing: readonly MissingNar[]): Promise<'sent' | 'resized'> {
    try {
      return await this.#sendAll(missing)
    } catch (error) {
      await this.#jobs.drain().catch(() => {})
      if (!(error instanceof PartTooLarge)) throw error
      this.#jobs.forgetFailure()
      if (this.#resize(this.#partBytes / 2)) return 'resized'
      throw new PushFault(
        'refused',
        `The edge in front of ${this.#options.farEnd.url} rejects even parts of ${this.#partBytes} bytes (HTTP 413)`,
        { cause: error },
      )
    }
  }

  async #sendAll(missing: readonly MissingNar[]): Promise<'sent' | 'resized'> {
    // Two paths may have one NAR.
    const nars = [...new Map(missing.map((nar) => [nar.object.info.narHash, nar])).values()]
    const isSmall = ({ object }: MissingNar) => object.info.narSize <= batchNarBytes
    await this.#sendSmall(nars.filter(isSmall).map(({ object }) => object))
    const large = nars
      .filter((nar) => !isSmall(nar))
      .sort((left, right) => right.object.info.narSize - left.object.info.narSize)
    if (large.length === 0) return 'sent'
    if (this.#isSlowLine() && this.#resize(slowPartBytes)) return 'resized'
    for (const nar of large) await this.#sendLarge(nar)
    await this.#jobs.drain()
    return 'sent'
  }

  /** A part should take less than half a minute: a line that breaks once a minute would never finish a longer one. */
  #isSlowLine(): boolean {
    const { bitsPerSecond } = this.#sender
    return bitsPerSecond !== undefined && bitsPerSecond < slowBitsPerSecond
  }

  /** False when the parts cannot be smaller. */
  #resize(partBytes: number): boolean {
    const next = Math.max(this.#options.info.partBytes.min, partBytes)
    if (next >= this.#partBytes) return false
    this.#partBytes = next
    return true
  }

  /** Several batches, so that reading, sending and the checks of the cache overlap. */
  async #sendSmall(objects: readonly PushedObject[]): Promise<void> {
    const { info, level } = this.#options
    const maxBytes = info.batchBytes / 2
    const wantedCost = objects.reduce((sum, object) => sum + costOf(object.info), 0) / smallBatches
    let batch = new Batch()
    const flush = async () => {
      if (batch.isEmpty) return
      const full = batch
      batch = new Batch()
      await this.#jobs.run(() => this.#sendBatch(full))
    }
    for await (const frame of readFrames(objects, level)) {
      if (batch.bytesWith(frame) > maxBytes) await flush()
      batch.add(frame)
      if (batch.cost >= wantedCost) await flush()
    }
    await flush()
    await this.#jobs.drain()
  }

  async #sendBatch(batch: Batch): Promise<void> {
    const body = batch.toBody()
    const reply = await this.#sender.send({
      method: 'POST',
      path: 'v1/push/batch',
      body,
      contentType: 'application/octet-stream',
    })
    if (reply.status >= 300) throw this.#options.farEnd.refusal(reply)
    const { entries } = JSON.parse(reply.body.toString()) as BatchReply
    const refused = entries.find(({ status }) => status === 'refused')
    if (refused !== undefined)
      throw new PushFault(
        'refused',
        `${this.#options.farEnd.url} refused the NAR ${refused.narHash}: ${refused.reason ?? 'no reason given'}`,
      )
    this.#count(batch.narBytes, body.length)
  }

  /** Starts each part as soon as a job is free. The parts of the next NAR follow without a gap. */
  async #sendLarge({ object, have }: MissingNar): Promise<void> {
    const { narHash, narSize, storePath } = object.info
    const parts = await openParts(object, this.#partBytes)
    if (parts.narSize !== narSize) throw wrongSize(storePath, parts.narSize, narSize)
    const hash = have.size === 0 ? new PartsHash() : undefined
    for (let index = 0; index < parts.count; index++) {
      if (have.has(index)) continue
      await this.#jobs.untilFree()
      const part = await parts.read(index)
      hash?.add(part)
      // If the NAR does not have the recorded hash, its last part is not sent.
      if (index === parts.count - 1 && hash !== undefined && hash.digest() !== narHash) throw wrongHash(storePath)
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
    const reply = await this.#sender.send({ method: 'PUT', path, body, contentType: 'application/zstd' })
    this.#level.learn(level, compressedMs - startedMs, performance.now() - compressedMs)
    // The cache itself answers in JSON, so this 413 is the body limit of the edge.
    if (reply.status === 413 && !/^application\/json/.test(reply.headers['content-type'] ?? ''))
      throw new PartTooLarge()
    // 409: another client has completed this NAR in the meantime.
    if (reply.status >= 300 && reply.status !== 409) throw this.#options.farEnd.refusal(reply)
    this.#count(part.length, body.length)
  }

  #count(narBytes: number, wireBytes: number): void {
    this.narBytes += narBytes
    this.wireBytes += wireBytes
    this.#options.report({ event: 'sent', narBytes, wireBytes })
  }
}
