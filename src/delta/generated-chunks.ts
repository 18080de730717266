/** A generator of bytes as a `ChunkReader`. What the generator holds is freed by its `finally`. */
import type { Chunk, ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'

export class GeneratedChunks implements ChunkReader {
  readonly #pieces: AsyncGenerator<Uint8Array, void, undefined>
  readonly #onClose: () => void
  #isClosed = false

  /**
   * @param pieces each stays valid: it is never written to again
   * @param onClose called once, if it is closed: ends what the generator waits for
   */
  constructor(pieces: AsyncGenerator<Uint8Array, void, undefined>, onClose: () => void = () => undefined) {
    this.#onClose = onClose
    this.#pieces = pieces
  }

  async next(): Promise<Chunk | undefined> {
    if (this.#isClosed) throw readerClosed()
    const { done, value } = await this.#pieces.next()
    if (this.#isClosed) throw readerClosed()
    return done === true ? undefined : { bytes: value, release() {} }
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onClose()
    // Its own `finally` may fail only with what the pending `next` reports.
    this.#pieces.return().catch(() => undefined)
  }
}

function readerClosed(): Fault {
  return new Fault('abandoned', 'The reader was closed')
}
