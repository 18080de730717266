/**
 * The larder on disk: which of memory, kept file, compression under way, new compression or compression for one client
 * alone answers a request.
 */
import type { ByteRange, ChunkReader } from '../chunks.ts'
import type { DeltaEnd } from '../delta/maker/contract.ts'
import type { OpenFiles } from '../disk/open-files.ts'
import { Fault } from '../faults.ts'
import type { CompressedNar, NarRequest } from '../nar/contract.ts'
import type { Deltas } from './deltas.ts'
import type { DirectCompressor } from './direct-compressor.ts'
import type { Directory } from './directory.ts'
import { formatDeltaRecipe, isDeltaRecipe, toBareHash } from './file-name.ts'
import type { Filling } from './filling.ts'
import type { Fillings } from './fillings.ts'
import type { KeptFiles } from './kept-files.ts'
import type { KnownSizes } from './known-sizes.ts'
import type { Larder, LarderStats } from './larder.ts'
import type { LiveReaders } from './live-readers.ts'
import type { PresentNars } from './present-nars.ts'
import type { Room } from './room.ts'
import type { KeptFile, Shelf } from './shelf.ts'
import type { SmallNars } from './small-nars.ts'
import type { Writability } from './writability.ts'

export interface LarderParts {
  readonly recipe: string
  readonly zstdVersion: string
  readonly shelf: Shelf
  readonly directory: Directory
  readonly room: Room
  readonly files: OpenFiles
  readonly small: SmallNars
  readonly known: KnownSizes
  readonly kept: KeptFiles
  readonly writability: Writability
  readonly fillings: Fillings
  readonly present: PresentNars
  readonly readers: LiveReaders
  readonly direct: DirectCompressor
  readonly deltas: Deltas | undefined
}

export class DiskLarder implements Larder {
  readonly recipe: string
  readonly #parts: LarderParts
  #arranged: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(parts: LarderParts) {
    this.#parts = parts
    this.recipe = parts.recipe
  }

  async start(): Promise<void> {
    if (this.#parts.room.maxBytes === 0 && !(await this.#parts.directory.exists())) return
    const isWritable = await this.#parts.writability.claim()
    this.#arranged = this.#parts.kept.gatherAges()
    this.#parts.room.awaitOrder(this.#arranged)
    if (isWritable) void this.#parts.room.shrink()
  }

  get stats(): LarderStats {
    return {
      files: this.#parts.shelf.count,
      bytes: this.#parts.room.bytes,
      maxBytes: this.#parts.room.maxBytes,
      fillsUnderWay: this.#parts.fillings.underWay,
      hits: this.#parts.present.hits,
      fills: this.#parts.fillings.started,
      deltas: this.#parts.deltas?.stats ?? { made: 0, sent: 0, savedBytes: 0 },
      evictions: this.#parts.room.evictions,
      damaged: this.#parts.kept.damaged,
      unwritable: this.#parts.writability.reason ?? this.#parts.room.shortage,
    }
  }

  find(narHash: string): CompressedNar | undefined {
    const bare = toBareHash(narHash)
    return this.#parts.shelf.find(bare)?.toCompressedNar() ?? this.#parts.known.find(bare)
  }

  peek(narHash: string): Uint8Array | undefined {
    return this.#parts.present.peek(narHash)
  }

  findKept(narHash: string, recipe: string): CompressedNar | undefined {
    return this.#findKept(narHash, recipe)?.toCompressedNar()
  }

  async open(nar: NarRequest): Promise<{ readonly size: number | undefined; readonly chunks: ChunkReader }> {
    this.#refuseClosed()
    const opened = await this.#parts.present.open(nar)
    if (opened !== undefined) return opened
    const size = this.#parts.known.find(toBareHash(nar.narHash))?.fileSize
    const filling = this.#join(nar)
    return {
      size,
      chunks:
        filling === undefined
          ? this.#parts.readers.watch(this.#parts.direct.open(nar))
          : this.#parts.present.read(filling.file.enter(), undefined, nar),
    }
  }

  async openRange(nar: NarRequest, range: ByteRange): Promise<ChunkReader> {
    this.#refuseClosed()
    const opened = await this.#parts.present.open(nar, range)
    if (opened !== undefined) return opened.chunks
    const filling = this.#join(nar)
    return filling === undefined
      ? this.#parts.readers.watch(this.#parts.direct.open(nar, range.start, range.end))
      : this.#parts.present.read(filling.file.enter(), range, nar)
  }

  async openKept(
    narHash: string,
    recipe: string,
    range?: ByteRange,
  ): Promise<{ readonly size: number; readonly chunks: ChunkReader } | undefined> {
    this.#refuseClosed()
    const kept = this.#findKept(narHash, recipe)
    if (kept === undefined) return undefined
    if (range === undefined && isDeltaRecipe(recipe)) this.#parts.deltas?.sent(kept)
    return await this.#parts.present.openKept(kept, range, undefined)
  }

  async settle(nar: NarRequest): Promise<CompressedNar> {
    const underWay = this.#parts.fillings.find(nar.narHash)
    const known = this.find(nar.narHash)
    if (known !== undefined && underWay === undefined) return known
    this.#refuseClosed()
    const filled = await (underWay ?? this.#join(nar))?.settled
    return (
      filled ??
      this.find(nar.narHash) ??
      (await this.#parts.direct.measure(nar, (reader) => this.#parts.readers.watch(reader)))
    )
  }

  deltaRecipe(baseNarHash: string): string | undefined {
    return this.#parts.deltas && formatDeltaRecipe(this.#parts.zstdVersion, baseNarHash)
  }

  keepDelta(target: DeltaEnd, base: DeltaEnd): Promise<CompressedNar | undefined> {
    this.#refuseClosed()
    const recipe = this.deltaRecipe(base.narHash)
    if (this.#parts.deltas === undefined || recipe === undefined || this.#parts.room.maxBytes === 0)
      return Promise.resolve(undefined)
    return this.#parts.deltas.keep(target, base, recipe)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#parts.present.close()
    this.#parts.readers.closeAll()
    await this.#parts.fillings.close()
    await this.#parts.direct.settle()
    await this.#parts.deltas?.close()
    await this.#parts.kept[Symbol.asyncDispose]()
    await this.#arranged
    await this.#parts.room.settle()
    await this.#parts.files[Symbol.asyncDispose]()
    await this.#parts.directory[Symbol.asyncDispose]()
  }

  #findKept(narHash: string, recipe: string): KeptFile | undefined {
    const bare = toBareHash(narHash)
    return recipe === this.recipe ? this.#parts.shelf.find(bare) : this.#parts.shelf.findOther(bare, recipe)
  }

  /** The compression of this NAR, a new one if there is none; undefined when nothing can be kept now. */
  #join(nar: NarRequest): Filling | undefined {
    this.#refuseClosed()
    return this.#parts.fillings.join(nar)
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new Fault('abandoned', 'Cannot read from the larder: it is closing')
  }
}
