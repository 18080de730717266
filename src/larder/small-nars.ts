/**
 * Small compressed NARs in memory, ready to be sent, the least recently used dropped first. Most paths of a closure are
 * small, and the way through the disk costs each of them several trips to another thread.
 */
import { createHash } from 'node:crypto'

import type { OpenFile } from '../disk/open-files.ts'
import { encodeNix32 } from '../nix/nix32.ts'

/** Larger ones are better read from the disk's cache in pieces. */
export const maxSmallBytes = 64 * 1024

export function isSmall({ fileSize }: { readonly fileSize: number }): boolean {
  return fileSize <= maxSmallBytes
}

export class SmallNars {
  readonly #maxBytes: number
  /** By bare NAR hash, in order of use. */
  readonly #entries = new Map<string, Uint8Array>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  find(narHash: string): Uint8Array | undefined {
    const bytes = this.#entries.get(narHash)
    if (bytes === undefined) return undefined
    this.#entries.delete(narHash)
    this.#entries.set(narHash, bytes)
    return bytes
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
    this.#entries.set(narHash, bytes)
    this.#bytes += bytes.byteLength
    for (const [oldest, { byteLength }] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) break
      this.#entries.delete(oldest)
      this.#bytes -= byteLength
    }
  }
}
