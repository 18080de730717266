/**
 * A kept file as one reader's source. It was found right before the first byte is read; what is left is that it rots or
 * is changed under the reader. How that is met depends on how long ago all of it was read: see `Trust`.
 */

import type { Outcome, Source } from '../disk/file-source.ts'
import type { OpenFile } from '../disk/open-files.ts'
import type { Check } from './check.ts'
import type { KeptFile, Shelf } from './shelf.ts'

/** What a source asks of those who look after all kept files. */
export interface Keeper {
  /** True when the file has the stamp it was proven with. */
  holds(kept: KeptFile, file: OpenFile): boolean
  /**
   * The bytes handed out were hashed. @throws {Fault} larder-damaged when that is not the hash they were kept under;
   * the file is dropped then
   */
  judge(kept: KeptFile, file: OpenFile, found: string): void
  /**
   * Resolves when the file has the stamp it was proven with, or was read again and found right. Rejects with the Fault.
   */
  confirmUnchanged(kept: KeptFile, file: OpenFile): Promise<void>
  /** Takes the file out of service and returns the fault for its readers. */
  drop(kept: KeptFile, cause: unknown): unknown
}

/**
 * - `lately`: all of it was read a short while ago. Its stamp is compared before the last chunk.
 * - `hash`: the reader takes the whole, and hashes it on the way.
 * - a check: the reader takes a part, while all of it is read again in the background.
 */
export type Trust = 'lately' | 'hash' | Check

export class KeptSource implements Source {
  readonly file: OpenFile
  readonly size: number
  readonly wantsHash: boolean
  readonly #whole: Outcome
  readonly #kept: KeptFile
  readonly #shelf: Shelf
  readonly #check: Check | undefined
  readonly #keeper: Keeper

  /** Takes over one use of the file and one pin of the shelf. */
  constructor(kept: KeptFile, file: OpenFile, shelf: Shelf, trust: Trust, keeper: Keeper) {
    this.#kept = kept
    this.file = file
    this.size = kept.fileSize
    this.wantsHash = trust === 'hash'
    this.#whole = { kind: 'whole', size: kept.fileSize }
    this.#shelf = shelf
    this.#check = typeof trust === 'object' ? trust : undefined
    this.#keeper = keeper
  }

  get readableBytes(): number {
    return this.size
  }

  get outcome(): Outcome | undefined {
    return this.#check === undefined ? this.#whole : this.#check.outcome
  }

  onChange(listener: () => void): () => void {
    return this.#check === undefined ? () => {} : this.#check.changes.onChange(listener)
  }

  isUnchanged(): boolean {
    return this.#keeper.holds(this.#kept, this.file)
  }

  async confirm(found: string | undefined): Promise<void> {
    if (found === undefined) await this.#keeper.confirmUnchanged(this.#kept, this.file)
    else this.#keeper.judge(this.#kept, this.file, found)
  }

  condemn(cause: unknown): unknown {
    return this.#keeper.drop(this.#kept, cause)
  }

  leave(): void {
    this.file.release()
    this.#shelf.unpin(this.#kept)
  }
}
