/**
 * A file as its readers see it: how far it can be read, and whether all of it was found right. It may still be growing
 * (a compression under way), or be complete and not yet checked (kept by an earlier run).
 */
import type { CompressedNar } from '../nar/contract.ts'
import type { OpenFile } from './open-files.ts'

export type Outcome =
  /** Every byte is there, and was found right: the last chunk may go out once it is confirmed. */
  | { readonly kind: 'whole'; readonly size: number }
  /**
   * The file will not be completed because there is no room; readers must get the rest elsewhere. Hash and size are
   * known if the compression went on.
   */
  | { readonly kind: 'unkept'; readonly measured: CompressedNar | undefined }
  | { readonly kind: 'fault'; readonly fault: unknown }

export interface Source {
  /** Open as soon as `readableBytes` is above 0. */
  readonly file: OpenFile | undefined
  /**
   * Bytes from the beginning that may be read now. While the outcome is open and the size unknown, less than the whole.
   */
  readonly readableBytes: number
  /** Bytes of the whole, when known. */
  readonly size: number | undefined
  readonly outcome: Outcome | undefined
  /** Calls the listener when any of these changed. Returns a function that unsubscribes. */
  onChange(listener: () => void): () => void
  /** A read failed or came short: the file is not what it should be. Returns the fault to reject with. */
  condemn(cause: unknown): unknown
  /**
   * False when the file is not as it was when it was found right: asked with each chunk in hand, which then needs a
   * confirmation. Costs a microsecond.
   */
  isUnchanged(): boolean
  /** True when a reader of the whole must hash what it hands out. */
  readonly wantsHash: boolean
  /**
   * Asked with a chunk in hand, with the last one in any case, when the outcome is `whole`: resolves when what was read
   * may be taken for right. `found` is the hash (bare) of all that was read, if it was hashed. Rejects with the fault.
   */
  confirm(found: string | undefined): Promise<void>
  /** This reader has finished. */
  leave(): void
}

/** Calls the listeners. One that unsubscribes during the call is not called. */
export class Changes {
  readonly #listeners = new Set<() => void>()

  readonly onChange = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  announce(): void {
    for (const listener of this.#listeners) listener()
  }
}
