/**
 * Response bodies as chunks that the consumer pulls one at a time (back-pressure). A slow reader pauses the producer,
 * and nothing is buffered beyond the chunks that were handed out and not yet released.
 */

export interface Chunk {
  /** Valid until `release` is called. May be shared with another thread: the consumer must not write to it. */
  readonly bytes: Uint8Array
  /** Returns the memory to the producer. Call exactly once, when the socket or file has taken the bytes. */
  release(): void
}

/** Half-open byte range `[start, end)`. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

export interface ChunkReader {
  /**
   * Returns the next chunk, or `undefined` after the last. At most one call may be pending.
   * Rejects with a `Fault` if the rest is not available; the caller must then abort the transfer instead of ending it.
   * A producer that verifies a hash returns the last chunk only after the hash was verified.
   */
  next(): Promise<Chunk | undefined>
  /** Frees all resources immediately, finished or not. Further `next` calls reject with `abandoned`. Idempotent. */
  close(): void
}
