/**
 * Small compressed NARs in memory, ready to be sent; those that were not used lately are dropped first. Most paths of a
 * closure are small, and the way through the disk costs each of them several trips to another thread.
 */
import { createHash } from 'node:crypto'

import type { OpenFile } from '../disk/open-files.ts'
import { encodeNix32 } from '../nix/nix32.ts'

/** Larger ones are better read from the disk's cache in pieces. */
export const maxSmallBytes = 64 * 1024

export function isSmall({ fileSize }: { readonly fileSize: number }): boolean {
  return fileSize <= maxSmallBytes
}

interface Entry {
  readonly bytes: Uint8Array
  /** Since it was added, or an eviction passed it. */
  isUsed: boolean
}

/**
 * Evicts by second chance: noting a use is an assignment. With the exact order of use, each of thousands of requests
 * per second would take an entry out of the Map and put it back.
 */
export class SmallNars {
  readonly #maxBytes: number
  /** By bare NAR hash, in the order in which an eviction looks at them. */
  readonly #entries = new Map<string, Entry>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  find(narHash: string): Uint8Array | undefined {
    const entry = this.#entries.get(narHash)
    if (entry === undefined) return undefined
    entry.isUsed = true
    return entry.bytes
  }

  /** Reads a file into memory. Rejects when its bytes are not those of the hash (bare). */
  async read(narHash: string, fileHash: string, file: OpenFile, size: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(size)
    const count = await file.read(bytes, size, 0)
    if (count < size) throw new Error(`It ends at ${count}`)
    const found = encodeNix32(createHash('sha256').update(bytes).digest())
    if (found !== fileHash) throw new Error(`Its bytes hash to ${found}`)
    this.add(narHash, bytes)
    return bytes
  }

  /** The bytes must have been found right. */
  add(narHash: string, bytes: Uint8Array): void {
    if (bytes.byteLength > maxSmallBytes || bytes.byteLength > this.#maxBytes || this.#entries.has(narHash)) return
    this.#entries.set(narHash, { bytes, isUsed: false })
    this.#bytes += bytes.byteLength
    if (this.#bytes > this.#maxBytes) this.#evict()
  }

  /** Ends: whatever is put back at the end is not used any more when it is looked at again. */
  #evict(): void {
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) return
      this.#entries.delete(oldest)
      if (entry.isUsed) {
        entry.isUsed = false
        this.#entries.set(oldest, entry)
      } else this.#bytes -= entry.bytes.byteLength
    }
  }
}
