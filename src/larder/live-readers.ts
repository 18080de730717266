/**
 * The readers that were handed out: each lets go of everything at its end or its fault, even if its owner forgets it,
 * and all of them when the larder closes.
 */
import type { ChunkReader } from '../chunks.ts'

export class LiveReaders {
  readonly #live = new Set<ChunkReader>()

  watch(reader: ChunkReader): ChunkReader {
    const live = this.#live
    let isAtEnd = false
    const watched: ChunkReader = {
      async next() {
        if (isAtEnd) return undefined
        try {
          const chunk = await reader.next()
          if (chunk !== undefined) return chunk
          isAtEnd = true
        } catch (error) {
          watched.close()
          throw error
        }
        watched.close()
        return undefined
      },
      close() {
        live.delete(watched)
        reader.close()
      },
    }
    live.add(watched)
    return watched
  }

  closeAll(): void {
    for (const reader of [...this.#live]) reader.close()
  }
}
