/**
 * One compression into the larder, from the first request to the published file, and the growing file its readers
 * share. However many ask, there is one; no reader holds it back, and it goes on when all of them have left, because
 * a client that was cut off comes back for the rest.
 *
 *   waiting for its turn and for room → growing → whole → published
 *                                     ↘ unkept (no room, disk full): readers go on alone      ↘ fault
 */

import { Changes, type Outcome, type Source } from '../disk/file-source.ts'
import type { OpenFile, OpenFiles } from '../disk/open-files.ts'
import { Fault } from '../faults.ts'
import type { CompressedNar, Fill, FilledNar, NarRequest, Packer } from '../nar/contract.ts'
import type { CompressionQueue } from './compression-queue.ts'
import type { Directory } from './directory.ts'
import { formatKeptName, type KeptName, toBareHash } from './file-name.ts'
import type { KnownSizes } from './known-sizes.ts'
import type { Proofs } from './proofs.ts'
import type { Room } from './room.ts'
import type { KeptFile, Shelf } from './shelf.ts'
import type { SmallNars } from './small-nars.ts'
import type { Writability } from './writability.ts'

/** Readers get whole pieces of the growing file, and never its last byte before the end. */
const pieceBytes = 64 * 1024

/** What a compression needs around it. */
export interface FillContext {
  readonly packer: Packer
  readonly level: number
  readonly recipe: string
  readonly directory: Directory
  readonly shelf: Shelf
  readonly room: Room
  readonly files: OpenFiles
  readonly proofs: Proofs
  readonly small: SmallNars
  readonly known: KnownSizes
  readonly queue: CompressionQueue
  readonly now: () => number
  readonly writability: Writability
  /** Called in the same turn as the last moment in which readers can join. */
  readonly onOver: (filling: Filling) => void
}

export class Filling implements Source {
  readonly nar: NarRequest
  readonly onChange: Source['onChange']
  file: OpenFile | undefined
  outcome: Outcome | undefined
  readonly wantsHash = true
  /**
   * Resolves when the file is published; to undefined if it cannot be kept and its size is unknown. Rejects with
   * the Fault.
   */
  readonly settled: Promise<CompressedNar | undefined>
  readonly #at: FillContext
  readonly #narHash: string
  readonly #changes = new Changes()
  #fill: Fill | undefined
  #readers = 0
  #opening: Promise<void> | undefined
  #isAbandoned = false
  #isOutgrown = false
  #isOver = false
  #kept: KeptFile | undefined
  #fileHash: string | undefined
  /** What a reader found wrong with the file before it was kept. */
  #flaw: Error | undefined

  constructor(nar: NarRequest, at: FillContext) {
    this.nar = nar
    this.#at = at
    this.#narHash = toBareHash(nar.narHash)
    this.onChange = this.#changes.onChange
    this.settled = this.#run()
    this.settled.catch(() => {})
  }

  get size(): number | undefined {
    return this.outcome?.kind === 'whole' ? this.outcome.size : undefined
  }

  get readableBytes(): number {
    if (this.file === undefined || this.#fill === undefined) return 0
    if (this.outcome?.kind === 'whole') return this.outcome.size
    return Math.max(0, Math.floor((this.#fill.written - 1) / pieceBytes) * pieceBytes)
  }

  /** Counts a reader, which must `leave`. */
  enter(): this {
    this.#readers++
    if (this.#kept !== undefined) this.#at.shelf.pin(this.#kept)
    return this
  }

  leave(): void {
    this.#readers--
    if (this.#kept !== undefined) this.#at.shelf.unpin(this.#kept)
    this.#releaseFile()
  }

  /** It grows. */
  isUnchanged(): boolean {
    return true
  }

  /**
   * The bytes were right as they were written; a part of them must not be the only one to have been read back from the
   * file.
   */
  async confirm(found: string | undefined): Promise<void> {
    if (found === undefined) {
      await this.settled
      if (this.#kept !== undefined && this.file !== undefined) await this.#at.proofs.confirmRead(this.#kept, this.file)
    } else if (found !== this.#fileHash) {
      this.#flaw = new Error(`Its bytes hash to ${found}`)
      throw this.#kept === undefined ? this.condemn(this.#flaw) : this.#at.proofs.drop(this.#kept, this.#flaw)
    }
  }

  condemn(cause: unknown): unknown {
    return new Fault('larder-damaged', `Cannot read the larder's file of "${this.nar.realPath}" while it grows`, {
      cause,
    })
  }

  /** Gives the work up: the larder is closing. */
  abandon(): void {
    this.#isAbandoned = true
    this.#fill?.abandon()
    this.#at.queue.skip(this)
  }

  async #run(): Promise<CompressedNar | undefined> {
    const { queue, room, onOver } = this.#at
    try {
      await queue.begin(this)
      return (await this.#hasRoom()) ? await this.#compress() : this.#endUnkept(undefined)
    } catch (fault) {
      this.#end({ kind: 'fault', fault })
      throw fault
    } finally {
      room.giveBack(this)
      queue.end(this)
      onOver(this)
      this.#isOver = true
      this.#releaseFile()
    }
  }

  async #hasRoom(): Promise<boolean> {
    const { room, known, writability } = this.#at
    const hasRoom =
      (await writability.prepare()) && (await room.reserve(this, known.estimate(this.#narHash, this.nar.narSize)))
    if (this.#isAbandoned) throw new Fault('abandoned', `Cannot compress "${this.nar.realPath}": the larder is closing`)
    return hasRoom
  }

  async #compress(): Promise<CompressedNar | undefined> {
    const { packer, level, directory, known, room, small, writability } = this.#at
    const tempPath = directory.newTempPath()
    const fill = packer.fill(this.nar, level, tempPath)
    this.#fill = fill
    const unsubscribe = fill.onProgress(() => this.#onProgress(fill, tempPath))
    try {
      const filled = await fill.done
      const measured = { fileHash: filled.fileHash, fileSize: filled.fileSize }
      this.#compare(measured)
      // Before anybody can have read the last byte: who has read it finds hash and size in the next narinfo.
      known.add(this.#narHash, measured)
      // Small ones go to memory at once: their readers are on the way.
      if (filled.bytes !== undefined) small.add(this.#narHash, filled.bytes)
      const problem = filled.wasWritten ? await this.#publish(tempPath, measured) : describe(filled)
      if (problem === undefined) return measured
      // Nobody reads the temporary any further, and without it there may be room.
      this.#endUnkept(measured)
      await directory.removeTemp(tempPath)
      await this.#closeUnkept()
      room.giveBack(this)
      await writability.onUnwritten(measured.fileSize, problem)
      return measured
    } catch (fault) {
      await directory.removeTemp(tempPath)
      if (!this.#isOutgrown) throw fault
      known.addAtLeast(this.#narHash, fill.written)
      return this.#endUnkept(undefined)
    } finally {
      unsubscribe()
    }
  }

  /** Sizes are announced and ranges served before the bytes are made again: they must turn out the same. */
  #compare({ fileHash }: CompressedNar): void {
    const { known } = this.#at
    const before = known.find(this.#narHash)
    if (before === undefined || before.fileHash === fileHash) return
    known.forget(this.#narHash)
    throw new Fault(
      'larder-damaged',
      `Cannot serve "${this.nar.realPath}" as announced: compressed again it has hash ${fileHash}, and had ${before.fileHash}`,
    )
  }

  #onProgress(fill: Fill, tempPath: string): void {
    if (this.outcome !== undefined || this.#isOutgrown) return
    if (!this.#at.room.grow(this, fill.written)) {
      this.#isOutgrown = true
      fill.abandon()
      return
    }
    if (this.file === undefined) this.#opening ??= this.#open(tempPath)
    else this.#changes.announce()
  }

  /** The temporary appears some time after the compression began: until then each progress tries again. */
  async #open(tempPath: string): Promise<void> {
    try {
      const file = await this.#at.files.open(tempPath)
      if (this.file === undefined && !this.#isFileOver) this.file = file
      else file.release()
      this.#changes.announce()
    } catch {
      // Not there yet, or no descriptor is left.
    } finally {
      this.#opening = undefined
    }
  }

  /** The disk has the space of a removed file back when its last descriptor is closed, not before. */
  async #closeUnkept(): Promise<void> {
    await this.#opening
    this.#releaseFile()
    await this.#at.files.untilClosed()
  }

  /** Resolves to what went wrong, if anything did. */
  async #publish(tempPath: string, measured: CompressedNar): Promise<unknown> {
    const { directory, recipe } = this.#at
    const { fileSize } = measured
    const parts: KeptName = { narHash: this.#narHash, recipe, fileHash: toBareHash(measured.fileHash), fileSize }
    try {
      const file = await this.#openFinished(tempPath)
      const before = file.stamp()
      if (!file.isWhole(fileSize))
        throw new Error(`The larder's temporary file is not as long as what was written to it`)
      // Readers need not wait for the name: the bytes are known to be right.
      this.#fileHash = parts.fileHash
      this.#end({ kind: 'whole', size: fileSize })
      const name = formatKeptName(parts)
      await directory.publish(tempPath, name)
      this.#putOnShelf(name, file, before.modifiedMs)
      return undefined
    } catch (error) {
      return error
    }
  }

  #putOnShelf(name: string, file: OpenFile, modifiedMs: number): void {
    const { shelf, room, known, now, writability } = this.#at
    room.giveBack(this)
    known.forget(this.#narHash)
    writability.onWritten()
    const kept = shelf.addPublished(name, file, modifiedMs, now())
    if (kept === undefined) return
    shelf.pin(kept, this.#readers)
    this.#kept = kept
    if (this.#flaw !== undefined) this.#at.proofs.drop(kept, this.#flaw)
  }

  async #openFinished(tempPath: string): Promise<OpenFile> {
    if (this.file === undefined) {
      const file = await this.#at.files.open(tempPath)
      if (this.file === undefined) this.file = file
      else file.release()
    }
    return this.file
  }

  #endUnkept(measured: CompressedNar | undefined): CompressedNar | undefined {
    this.#end({ kind: 'unkept', measured })
    return measured
  }

  #end(outcome: Outcome): void {
    this.outcome ??= outcome
    this.#changes.announce()
  }

  /** No reader will begin to read the file. */
  get #isFileOver(): boolean {
    return this.#isOver || this.outcome?.kind === 'unkept'
  }

  #releaseFile(): void {
    if (!this.#isFileOver || this.#readers > 0) return
    this.file?.release()
    this.file = undefined
  }
}

function describe({ unwritable, fileSize }: FilledNar): string {
  return unwritable ?? `A file of ${fileSize} bytes could not be written to its end`
}
