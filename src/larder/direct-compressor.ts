/**
 * Compressions that no file is made of, each for one client: when nothing can be kept, and when a growing file could
 * not be finished. Whole ones are measured, so that hash and size are known to the next client, and small ones go to
 * memory.
 */
import type { ChunkReader } from '../chunks.ts'
import type { CompressedNar, NarRequest, Packer } from '../nar/contract.ts'
import { toBareHash } from './file-name.ts'
import type { KnownSizes } from './known-sizes.ts'
import { MeasuringReader } from './single-readers.ts'
import type { SmallNars } from './small-nars.ts'

export class DirectCompressor {
  readonly #packer: Packer
  readonly #level: number
  readonly #known: KnownSizes
  readonly #small: SmallNars
  /** By bare NAR hash. A request for the size waits for a transfer that is running anyway. */
  readonly #measurings = new Map<string, Promise<CompressedNar>>()

  constructor(packer: Packer, level: number, known: KnownSizes, small: SmallNars) {
    this.#packer = packer
    this.#level = level
    this.#known = known
    this.#small = small
  }

  /** From `start` on; `end` is undefined when it is not known. */
  open(nar: NarRequest, start = 0, end?: number): ChunkReader {
    if (start === 0 && end === undefined) return this.#openMeasured(nar).reader
    return this.#packer.openCompressedNar(nar, this.#level, { start, end: end ?? Number.MAX_SAFE_INTEGER })
  }

  /**
   * Waits for a measurement under way; otherwise compresses the NAR only to measure it. `watch` gets the reader that is
   * used for that.
   */
  async measure(nar: NarRequest, watch: (reader: ChunkReader) => ChunkReader): Promise<CompressedNar> {
    const underWay = await this.#measurings.get(toBareHash(nar.narHash))?.catch(() => undefined)
    if (underWay !== undefined) return underWay
    const begunSince = this.#measurings.get(toBareHash(nar.narHash))
    if (begunSince !== undefined) return await begunSince
    const { reader, measured } = this.#openMeasured(nar)
    const watched = watch(reader)
    try {
      for (let chunk = await watched.next(); chunk !== undefined; chunk = await watched.next()) chunk.release()
      return await measured
    } finally {
      watched.close()
    }
  }

  /** Waits until no measurement is under way: for the end, when every reader was closed. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#measurings.values())
  }

  #openMeasured(nar: NarRequest): { readonly reader: ChunkReader; readonly measured: Promise<CompressedNar> } {
    const bare = toBareHash(nar.narHash)
    const reader = new MeasuringReader(this.#packer.openCompressedNar(nar, this.#level))
    const measured = this.#remember(bare, reader)
    const forget = () => {
      if (this.#measurings.get(bare) === measured) this.#measurings.delete(bare)
    }
    if (!this.#measurings.has(bare)) this.#measurings.set(bare, measured)
    measured.then(forget, forget)
    return { reader, measured }
  }

  async #remember(bare: string, reader: MeasuringReader): Promise<CompressedNar> {
    const compressed = await reader.measured
    this.#known.add(bare, compressed)
    if (reader.smallBytes !== undefined) this.#small.add(bare, reader.smallBytes)
    return compressed
  }
}
