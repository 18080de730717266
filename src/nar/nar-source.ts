/**
 * Verified reader of one NAR: layout, reader and hash combined. The size is checked before the first byte. The hash of
 * a whole NAR is checked before the last bytes are returned: that `read` throws if the hash differs. A caller that
 * forwards only what `read` returned never completes a wrong NAR.
 */
import { createHash, type Hash } from 'node:crypto'
import { condemnsStoreObject, Fault } from '../faults.ts'
import { formatSha256 } from '../nix/hash.ts'
import type { NarRequest } from './contract.ts'
import type { LayoutClaim, LayoutMemory } from './layout-memory.ts'
import { NarReader } from './nar-reader.ts'

export class NarSource {
  readonly #layouts: LayoutMemory
  readonly #nar: NarRequest
  readonly #start: number
  readonly #end: number
  readonly #hash: Hash | undefined
  #claim: LayoutClaim | undefined
  #reader: NarReader | undefined

  constructor(layouts: LayoutMemory, nar: NarRequest, start = 0, end = nar.narSize) {
    this.#layouts = layouts
    this.#nar = nar
    this.#start = start
    this.#end = end
    if (start === 0 && end === nar.narSize) this.#hash = createHash('sha256')
  }

  get remaining(): number {
    return this.#reader?.remaining ?? this.#end - this.#start
  }

  /**
   * Returns true when reading can start; if false, call it again. Throws nar-mismatch, nar-changed, nar-unreadable,
   * busy.
   */
  prepare(deadline: number): boolean {
    if (this.#reader) return true
    const { realPath, narHash, narSize } = this.#nar
    this.#claim ??= this.#layouts.claim(realPath, narHash)
    const layout = this.#claim.step(deadline)
    if (!layout) return false
    if (layout.narSize !== narSize)
      throw this.#mismatch(`its NAR has ${layout.narSize} bytes, the store's record says ${narSize}`)
    this.#reader = new NarReader(layout, this.#start, this.#end)
    return true
  }

  /** Like `NarReader.read`, but also throws nar-mismatch. */
  read(into: Uint8Array, deadline: number): number {
    const count = this.#reader!.read(into, deadline)
    this.take(into.subarray(0, count))
    return count
  }

  /** Like `NarReader.readAhead`. Pass the result to `take`. */
  readAhead(into: Uint8Array, done: (result: number | Fault) => void): boolean {
    return this.#reader!.readAhead(into, done)
  }

  /** Hashes bytes in order. With the last bytes, throws nar-mismatch if the hash differs. */
  take(bytes: Uint8Array): void {
    if (!this.#hash) return
    this.#hash.update(bytes)
    if (this.#reader!.remaining > 0) return
    const found = formatSha256(this.#hash.digest())
    if (found !== this.#nar.narHash)
      throw this.#mismatch(`its NAR hashes to ${found}, the store's record says ${this.#nar.narHash}`)
  }

  /** @param error the error that ended the job, if any: the layout that caused it is removed from the cache */
  close(error?: unknown): void {
    this.#claim?.release()
    this.#claim = undefined
    this.#reader?.close()
    if (condemnsStoreObject(error)) this.#layouts.forget(this.#nar.realPath, this.#nar.narHash)
  }

  #mismatch(how: string): Fault {
    return new Fault('nar-mismatch', `Cannot pack "${this.#nar.realPath}": ${how}; let Nix verify and repair the path`)
  }
}
