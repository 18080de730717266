/**
 * Hash and size of compressed NARs that are not kept: measured when there was no room for them, or evicted since. The
 * bytes can be made again and are always the same, so a narinfo keeps its FileHash and FileSize and a range can still
 * be asked for. Bounded; the oldest are forgotten first.
 */
import type { CompressedNar } from '../nar/contract.ts'

/** At some 250 bytes an entry, 4 MB at the most. */
const maxEntries = 16_384

/** What zstd -3 makes of a store at large; only for making room early, and corrected as the file grows. */
const usualRatio = 0.35

export class KnownSizes {
  readonly #measured = new Map<string, CompressedNar>()
  /** Minimum sizes of compressions that were aborted because there was no room. */
  readonly #atLeast = new Map<string, number>()

  find(narHash: string): CompressedNar | undefined {
    return this.#measured.get(narHash)
  }

  add(narHash: string, measured: CompressedNar): void {
    setBounded(this.#measured, narHash, measured)
    this.#atLeast.delete(narHash)
  }

  /** It is kept now, or proved wrong. */
  forget(narHash: string): void {
    this.#measured.delete(narHash)
    this.#atLeast.delete(narHash)
  }

  addAtLeast(narHash: string, bytes: number): void {
    setBounded(this.#atLeast, narHash, bytes)
  }

  /** Bytes that the compressed NAR will take: exact when it was measured. */
  estimate(narHash: string, narSize: number): number {
    return (
      this.#measured.get(narHash)?.fileSize ??
      Math.max(Math.ceil(narSize * usualRatio), this.#atLeast.get(narHash) ?? 0)
    )
  }
}

function setBounded<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= maxEntries) return
  for (const [oldest] of map) {
    map.delete(oldest)
    break
  }
}
