/**
 * A verified source of one NAR's bytes: layout, reader and hash in one. The size is checked before the first byte, the hash of a whole NAR before the last ones
 * are handed out. `read` of the last bytes throws when the hash is not the wanted one, so that whoever passes on only what `read` returned never completes a wrong NAR.
 */
import { createHash, type Hash } from 'node:crypto'
import { condemnsStoreObject, Fault } from '../faults.ts'
import { encodeNix32 } from '../nix/nix32.ts'
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

  /** True when reading can begin; false: call it again. Throws nar-mismatch, nar-changed, nar-unreadable, busy. */
  prepare(deadline: number): boolean {
    if (this.#reader) return true
    const { realPath, narHash, narSize } = this.#nar
    this.#claim ??= this.#layouts.claim(realPath, narHash)
    const layout = this.#claim.step(deadline)
    if (!layout) return false
    if (layout.narSize !== narSize) throw this.#mismatch(`its NAR has ${layout.narSize} bytes, the store's record says ${narSize}`)
    this.#reader = new NarReader(layout, this.#start, this.#end)
    return true
  }

  /** As `NarReader.read`, and throws nar-mismatch. */
  read(into: Uint8Array, deadline: number): number {
    const count = this.#reader!.read(into, deadline)
    this.take(into.subarray(0, count))
    return count
  }

  /** As `NarReader.readAhead`; what it read is then given to `take`. */
  readAhead(into: Uint8Array, done: (result: number | Fault) => void): boolean {
    return this.#reader!.readAhead(into, done)
  }

  /** Hashes what was read, in order; with the last bytes throws nar-mismatch if the hash is not the wanted one. */
  take(bytes: Uint8Array): void {
    if (!this.#hash) return
    this.#hash.update(bytes)
    if (this.#reader!.remaining > 0) return
    const found = `sha256:${encodeNix32(this.#hash.digest())}`
    if (found !== this.#nar.narHash) throw this.#mismatch(`its NAR hashes to ${found}, the store's record says ${this.#nar.narHash}`)
  }

  /** @param error what went wrong, if something did: a layout that led to it is forgotten */
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
