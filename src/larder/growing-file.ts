/**
 * The file of a compression under way as its readers share it: opened as soon as it appears, read as it grows, closed
 * when the work is over and the last reader has left.
 */
import { Changes, type Outcome, type Source } from '../disk/file-source.ts'
import type { OpenFile, OpenFiles } from '../disk/open-files.ts'
import { Fault } from '../faults.ts'
import type { Fill } from '../nar/contract.ts'
import type { Proofs } from './proofs.ts'
import type { KeptFile, Shelf } from './shelf.ts'

/** Readers get whole pieces of the growing file, and never its last byte before the end. */
const pieceBytes = 64 * 1024

export interface GrowingFileContext {
  readonly shelf: Shelf
  readonly files: OpenFiles
  readonly proofs: Proofs
}

export class GrowingFile implements Source {
  readonly onChange: Source['onChange']
  file: OpenFile | undefined
  outcome: Outcome | undefined
  readonly wantsHash = true
  readonly #realPath: string
  readonly #at: GrowingFileContext
  readonly #whenSettled: () => Promise<unknown>
  readonly #changes = new Changes()
  #fill: Fill | undefined
  #readers = 0
  #opening: Promise<void> | undefined
  #isOver = false
  #kept: KeptFile | undefined
  #fileHash: string | undefined
  /** What a reader found wrong with the file before it was kept. */
  #flaw: Error | undefined

  /** `realPath`: of the tree that is compressed. `whenSettled` resolves when the file is published or cannot be kept. */
  constructor(realPath: string, at: GrowingFileContext, whenSettled: () => Promise<unknown>) {
    this.#realPath = realPath
    this.#at = at
    this.#whenSettled = whenSettled
    this.onChange = this.#changes.onChange
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
  enter(): Source {
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
      await this.#whenSettled()
      if (this.#kept !== undefined && this.file !== undefined) await this.#at.proofs.confirmRead(this.#kept, this.file)
    } else if (found !== this.#fileHash) {
      this.#flaw = new Error(`Its bytes hash to ${found}`)
      throw this.#kept === undefined ? this.condemn(this.#flaw) : this.#at.proofs.drop(this.#kept, this.#flaw)
    }
  }

  condemn(cause: unknown): unknown {
    return new Fault('larder-damaged', `Cannot read the larder's file of "${this.#realPath}" while it grows`, {
      cause,
    })
  }

  begin(fill: Fill): void {
    this.#fill = fill
  }

  /** More was written. */
  grow(tempPath: string): void {
    if (this.file === undefined) this.#opening ??= this.#open(tempPath)
    else this.#changes.announce()
  }

  /** The file as it is open for readers, or opened now. Rejects with the system's error. */
  async openFinished(tempPath: string): Promise<OpenFile> {
    if (this.file === undefined) {
      const file = await this.#at.files.open(tempPath)
      if (this.file === undefined) this.file = file
      else file.release()
    }
    return this.file
  }

  /** All of it is written. `fileHash` is bare. */
  endWhole(fileHash: string, size: number): void {
    this.#fileHash = fileHash
    this.end({ kind: 'whole', size })
  }

  end(outcome: Outcome): void {
    this.outcome ??= outcome
    this.#changes.announce()
  }

  /** It is published: from now on its readers read a file of the shelf. */
  keepAs(kept: KeptFile): void {
    this.#at.shelf.pin(kept, this.#readers)
    this.#kept = kept
    if (this.#flaw !== undefined) this.#at.proofs.drop(kept, this.#flaw)
  }

  /** The disk has the space of a removed file back when its last descriptor is closed, not before. */
  async closeUnkept(): Promise<void> {
    await this.#opening
    this.#releaseFile()
    await this.#at.files.untilClosed()
  }

  /** The work is over. */
  close(): void {
    this.#isOver = true
    this.#releaseFile()
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
