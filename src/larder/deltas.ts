/**
 * Deltas in the larder: made once, kept like any compressed NAR and evicted like one. They are made one at a time, in
 * the background: a client that asks for one that is not ready soon gets the compressed NAR.
 */
import type { DeltaEnd, DeltaMaker } from '../delta/maker/contract.ts'
import { maxDeltaShare } from '../delta/worth.ts'
import type { OpenFiles } from '../disk/open-files.ts'
import { Fault } from '../faults.ts'
import type { Log } from '../log.ts'
import type { CompressedNar } from '../nar/contract.ts'
import type { Directory } from './directory.ts'
import { formatKeptName, toBareHash } from './file-name.ts'
import type { KnownSizes } from './known-sizes.ts'
import type { DeltaStats } from './larder.ts'
import type { Room } from './room.ts'
import type { KeptFile, Shelf } from './shelf.ts'
import type { Writability } from './writability.ts'

export interface DeltasContext {
  readonly maker: DeltaMaker
  readonly directory: Directory
  readonly shelf: Shelf
  readonly room: Room
  readonly known: KnownSizes
  readonly files: OpenFiles
  readonly writability: Writability
  readonly now: () => number
  readonly log: Log
}

/** Unpacking, and the processor's time, are bounded by this. */
const maxNarBytes = 4 * 1024 ** 3
const maxWaiting = 16
const maxWorthless = 10_000

export class Deltas {
  readonly #at: DeltasContext
  /** By bare NAR hash and recipe. */
  readonly #underWay = new Map<string, Promise<CompressedNar | undefined>>()
  /** Tried before, in vain. */
  readonly #worthless = new Set<string>()
  #made = 0
  #sent = 0
  #savedBytes = 0
  #isClosed = false

  constructor(at: DeltasContext) {
    this.#at = at
  }

  /** As `Larder.keepDelta`. */
  keep(target: DeltaEnd, base: DeltaEnd, recipe: string): Promise<CompressedNar | undefined> {
    const narHash = toBareHash(target.narHash)
    const key = `${narHash}.${recipe}`
    const kept = this.#at.shelf.findOther(narHash, recipe)
    if (kept !== undefined) return Promise.resolve(kept.toCompressedNar())
    const present = this.#underWay.get(key)
    if (present !== undefined) return present
    if (this.#worthless.has(key) || this.#isClosed || !this.#at.writability.mayTry) return Promise.resolve(undefined)
    if (this.#underWay.size >= maxWaiting || Math.max(target.narSize, base.narSize) > maxNarBytes)
      return Promise.resolve(undefined)
    const making = this.#make(target, base, recipe, key).finally(() => void this.#underWay.delete(key))
    this.#underWay.set(key, making)
    return making
  }

  get stats(): DeltaStats {
    return { made: this.#made, sent: this.#sent, savedBytes: this.#savedBytes }
  }

  /** This delta is being sent, from its beginning. */
  sent({ narHash, fileSize }: KeptFile): void {
    const whole = this.#wholeSize(narHash)
    this.#sent++
    if (whole !== undefined) this.#savedBytes += Math.max(0, whole - fileSize)
  }

  /** Gives up what is under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#at.maker[Symbol.asyncDispose]()
    await Promise.allSettled(this.#underWay.values())
  }

  async #make(target: DeltaEnd, base: DeltaEnd, recipe: string, key: string): Promise<CompressedNar | undefined> {
    const { maker, directory, room, known, writability, log } = this.#at
    const narHash = toBareHash(target.narHash)
    const whole = this.#wholeSize(narHash) ?? known.estimate(narHash, target.narSize)
    const maxBytes = Math.floor(whole * maxDeltaShare)
    const holder = {}
    if (!(await writability.prepare()) || !(await room.reserve(holder, maxBytes))) return undefined
    const tempPath = directory.newTempPath()
    const startedMs = performance.now()
    try {
      const made = await maker.make({ base, target, tempPath, scratchDir: directory.newTempPath(), maxBytes })
      if (made === undefined) this.#giveUp(key)
      else await this.#publish(tempPath, narHash, recipe, made)
      log.debug(
        {
          narHash: target.narHash,
          base: base.narHash,
          bytes: made?.fileSize,
          ms: Math.round(performance.now() - startedMs),
        },
        'Made a delta',
      )
      return made
    } catch (error) {
      await directory.removeTemp(tempPath)
      if (!(error instanceof Fault) || error.code !== 'larder-unwritable') {
        this.#giveUp(key)
        throw error
      }
      await writability.onUnwritten(maxBytes, error.message)
      return undefined
    } finally {
      room.giveBack(holder)
    }
  }

  async #publish(tempPath: string, narHash: string, recipe: string, made: CompressedNar): Promise<void> {
    const { directory, shelf, files, writability, now } = this.#at
    const name = formatKeptName({ narHash, recipe, fileHash: toBareHash(made.fileHash), fileSize: made.fileSize })
    const file = await files.open(tempPath)
    try {
      const before = file.stamp()
      if (!file.isWhole(made.fileSize))
        throw new Error("The delta's temporary file is not as long as what was written to it")
      await directory.publish(tempPath, name)
      writability.onWritten()
      if (shelf.addPublished(name, file, before.modifiedMs, now()) !== undefined) this.#made++
    } finally {
      file.release()
    }
  }

  #wholeSize(narHash: string): number | undefined {
    return this.#at.shelf.find(narHash)?.fileSize ?? this.#at.known.find(narHash)?.fileSize
  }

  #giveUp(key: string): void {
    if (this.#worthless.size >= maxWorthless) this.#worthless.clear()
    this.#worthless.add(key)
  }
}
