/**
 * A body on its way out: chunks pulled one at a time, so that a slow reader holds back the producer
 * and nothing is ever buffered beyond the chunks handed out and not yet released.
 */

export interface Chunk {
  /** Valid until `release` is called. May lie in memory shared with another thread: never written to by the consumer. */
  readonly bytes: Uint8Array
  /** Gives the memory back to the producer. Called exactly once, when the socket or file has taken the bytes. */
  release(): void
}

/** Half-open byte range `[start, end)`. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

export interface ChunkReader {
  /**
   * The next chunk, in order; `undefined` after the last. At most one call at a time.
   * Rejects with a `Fault` when the rest cannot be had; the caller must then break the transfer, never end it.
   * A producer that verifies a hash hands out the last chunk only after the hash was found right.
   */
  next(): Promise<Chunk | undefined>
  /** Frees everything at once, finished or not; further `next` calls reject with `abandoned`. Idempotent. */
  close(): void
}
