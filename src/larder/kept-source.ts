/** A kept file as one reader's source: all of it is there, and it is whole as soon as it was checked once in this process. */
import type { Check } from './checks.ts'
import type { OpenFile } from './open-files.ts'
import type { KeptFile, Shelf } from './shelf.ts'
import type { Outcome, Source } from './source.ts'

export class KeptSource implements Source {
  readonly file: OpenFile
  readonly size: number
  readonly #whole: Outcome
  readonly #kept: KeptFile
  readonly #shelf: Shelf
  readonly #check: Check | undefined
  readonly #onDamaged: (kept: KeptFile, cause: unknown) => unknown

  /** Takes over one use of the file and one pin of the shelf. `check` is undefined when the file was checked before. */
  constructor(kept: KeptFile, file: OpenFile, shelf: Shelf, check: Check | undefined, onDamaged: (kept: KeptFile, cause: unknown) => unknown) {
    this.#kept = kept
    this.file = file
    this.size = kept.fileSize
    this.#whole = { kind: 'whole', size: kept.fileSize }
    this.#shelf = shelf
    this.#check = check
    this.#onDamaged = onDamaged
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

  condemn(cause: unknown): unknown {
    return this.#onDamaged(this.#kept, cause)
  }

  leave(): void {
    this.file.release()
    this.#shelf.unpin(this.#kept)
  }
}
