/**
 * One compression into the larder, from the first request to the published file. However many ask, there is one; no
 * reader holds it back, and it goes on when all of them have left, because a client that was cut off comes back for the
 * rest.
 *
 *   waiting for its turn and for room → growing → whole → published
 *                                     ↘ unkept (no room, disk full): readers go on alone      ↘ fault
 */

import type { OpenFile, OpenFiles } from '../disk/open-files.ts'
import { Fault } from '../faults.ts'
import type { CompressedNar, Fill, FilledNar, NarRequest, Packer } from '../nar/contract.ts'
import type { CompressionQueue } from './compression-queue.ts'
import type { Directory } from './directory.ts'
import { formatKeptName, type KeptName, toBareHash } from './file-name.ts'
import { GrowingFile } from './growing-file.ts'
import type { KnownSizes } from './known-sizes.ts'
import type { Proofs } from './proofs.ts'
import type { Room } from './room.ts'
import type { Shelf } from './shelf.ts'
import type { SmallNars } from './small-nars.ts'
import type { Writability } from './writability.ts'

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

export class Filling {
  readonly nar: NarRequest
  /** What its readers share. */
  readonly file: GrowingFile
  /**
   * Resolves when the file is published; to undefined if it cannot be kept and its size is unknown. Rejects with
   * the Fault.
   */
  readonly settled: Promise<CompressedNar | undefined>
  readonly #at: FillContext
  readonly #narHash: string
  #fill: Fill | undefined
  #isAbandoned = false
  #isOutgrown = false

  constructor(nar: NarRequest, at: FillContext) {
    this.nar = nar
    this.#at = at
    this.#narHash = toBareHash(nar.narHash)
    this.file = new GrowingFile(nar.realPath, at, () => this.settled)
    this.settled = this.#run()
    this.settled.catch(() => {})
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
      this.file.end({ kind: 'fault', fault })
      throw fault
    } finally {
      room.giveBack(this)
      queue.end(this)
      onOver(this)
      this.file.close()
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
    this.file.begin(fill)
    const unsubscribe = fill.onProgress(() => this.#onProgress(fill, tempPath))
    try {
      const filled = await fill.done
      const measured = { fileHash: filled.fileHash, fileSize: filled.fileSize }
      this.#compare(measured)
      // Before a reader can have the last byte: after it, the next narinfo has hash and size.
      known.add(this.#narHash, measured)
      // Small ones go to memory at once: their readers are on the way.
      if (filled.bytes !== undefined) small.add(this.#narHash, filled.bytes)
      const problem = filled.wasWritten ? await this.#publish(tempPath, measured) : describe(filled)
      if (problem === undefined) return measured
      // The temporary is read no further, and without it there may be room.
      this.#endUnkept(measured)
      await directory.removeTemp(tempPath)
      await this.file.closeUnkept()
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
    if (this.file.outcome !== undefined || this.#isOutgrown) return
    if (!this.#at.room.grow(this, fill.written)) {
      this.#isOutgrown = true
      fill.abandon()
      return
    }
    this.file.grow(tempPath)
  }

  /** Resolves to what went wrong, if anything did. */
  async #publish(tempPath: string, measured: CompressedNar): Promise<unknown> {
    const { directory, recipe } = this.#at
    const { fileSize } = measured
    const parts: KeptName = { narHash: this.#narHash, recipe, fileHash: toBareHash(measured.fileHash), fileSize }
    try {
      const file = await this.file.openFinished(tempPath)
      const before = file.stamp()
      if (!file.isWhole(fileSize))
        throw new Error(`The larder's temporary file is not as long as what was written to it`)
      // Readers need not wait for the name: the bytes are known to be right.
      this.file.endWhole(parts.fileHash, fileSize)
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
    if (kept !== undefined) this.file.keepAs(kept)
  }

  #endUnkept(measured: CompressedNar | undefined): CompressedNar | undefined {
    this.file.end({ kind: 'unkept', measured })
    return measured
  }
}

function describe({ unwritable, fileSize }: FilledNar): string {
  return unwritable ?? `A file of ${fileSize} bytes could not be written to its end`
}
