/**
 * The larder on disk: which of memory, kept file, compression under way, new compression or compression for one client
 * alone answers a request.
 */
import { randomBytes } from 'node:crypto'

import { BytesReader } from '../chunk-readers.ts'
import type { ByteRange, ChunkReader } from '../chunks.ts'
import type { DeltaEnd, DeltaMaker } from '../delta/maker/contract.ts'
import { ChunkBuffers } from '../disk/chunk-buffers.ts'
import { FileReader, type OpenRest } from '../disk/file-reader.ts'
import type { Source } from '../disk/file-source.ts'
import { OpenFiles } from '../disk/open-files.ts'
import { Fault } from '../faults.ts'
import type { Log } from '../log.ts'
import type { CompressedNar, NarRequest, Packer } from '../nar/contract.ts'
import { CompressionQueue } from './compression-queue.ts'
import { Deltas } from './deltas.ts'
import { DirectCompressor } from './direct-compressor.ts'
import { Directory } from './directory.ts'
import { formatDeltaRecipe, formatRecipe, isDeltaRecipe, toBareHash } from './file-name.ts'
import { type FillContext, Filling } from './filling.ts'
import { KeptFiles } from './kept-files.ts'
import { KnownSizes } from './known-sizes.ts'
import type { Larder, LarderStats } from './larder.ts'
import { LiveReaders } from './live-readers.ts'
import { Room } from './room.ts'
import { type KeptFile, Shelf } from './shelf.ts'
import { SmallNars } from './small-nars.ts'
import { Writability } from './writability.ts'

export interface LarderOptions {
  /** Absolute. Made (0700) if it is missing; an existing one must be empty or a larder. */
  readonly dir: string
  /** Disk space for kept files and those under way, in bytes; 0 keeps nothing and makes no directory. */
  readonly maxBytes: number
  /** zstd's, 1 to 22. */
  readonly level: number
  /** Of the zstd that the packer uses: `process.versions.zstd`. */
  readonly zstdVersion: string
  readonly packer: Packer
  /** Closed with the larder. */
  readonly deltaMaker: DeltaMaker | undefined
  readonly log: Log
  /** For compressed NARs of up to 64 KiB; default 64 MiB. */
  readonly memoryBytes?: number
  /** Milliseconds since 1970, as the times of files are. */
  readonly now?: () => number
  /** Milliseconds of a clock that is never set. */
  readonly steadyNow?: () => number
  /** Names for temporary files: at least 8 characters of 0-9 and a-z, never the same twice. */
  readonly random?: () => string
}

const defaultMemoryBytes = 64 * 1024 * 1024
/** Each compression holds some megabytes in the packer; more of them at once do not end sooner. */
const maxCompressions = 32

/**
 * Opens the larder: its index is there when this resolves, the order of use is gathered in the background. A directory
 * that cannot be written is no error (see `stats.unwritable`). Rejects with a Fault `larder-unwritable` that says what
 * to do when another process has the directory, or when it was made for something else.
 */
export async function openLarder(options: LarderOptions): Promise<Larder> {
  const larder = new DiskLarder(options)
  await larder.start()
  return larder
}

class DiskLarder implements Larder {
  readonly recipe: string
  readonly #shelf: Shelf
  readonly #directory: Directory
  readonly #room: Room
  readonly #files = new OpenFiles()
  readonly #buffers = new ChunkBuffers()
  readonly #small: SmallNars
  readonly #known = new KnownSizes()
  readonly #queue = new CompressionQueue(maxCompressions)
  readonly #kept: KeptFiles
  readonly #writability: Writability
  readonly #fillContext: FillContext
  /** By bare NAR hash. */
  readonly #fillings = new Map<string, Filling>()
  readonly #readers = new LiveReaders()
  readonly #direct: DirectCompressor
  readonly #deltas: Deltas | undefined
  readonly #zstdVersion: string
  #arranged: Promise<void> = Promise.resolve()
  #hits = 0
  #fills = 0
  #evictions = 0
  #isClosed = false

  constructor(options: LarderOptions) {
    const { dir, maxBytes, level, zstdVersion, packer, deltaMaker, log } = options
    this.#zstdVersion = zstdVersion
    const {
      memoryBytes = defaultMemoryBytes,
      now = Date.now,
      steadyNow = () => performance.now(),
      random = randomName,
    } = options
    const recipe = formatRecipe(level, zstdVersion)
    this.recipe = recipe
    this.#shelf = new Shelf(recipe)
    this.#directory = new Directory(dir, log, now, random)
    this.#room = new Room(maxBytes, this.#shelf, this.#directory, this.#files, log, (file) => this.#onEvicted(file))
    this.#small = new SmallNars(memoryBytes)
    this.#direct = new DirectCompressor(packer, level, this.#known, this.#small)
    this.#kept = new KeptFiles(this.#shelf, this.#files, this.#directory, this.#small, log, now, steadyNow)
    this.#writability = new Writability(this.#directory, this.#room, log, steadyNow, (names) => this.#kept.adopt(names))
    this.#deltas =
      deltaMaker &&
      new Deltas({
        maker: deltaMaker,
        directory: this.#directory,
        shelf: this.#shelf,
        room: this.#room,
        known: this.#known,
        files: this.#files,
        writability: this.#writability,
        now,
        log,
      })
    this.#fillContext = {
      packer,
      level,
      recipe,
      directory: this.#directory,
      shelf: this.#shelf,
      room: this.#room,
      files: this.#files,
      proofs: this.#kept.proofs,
      small: this.#small,
      known: this.#known,
      queue: this.#queue,
      now,
      writability: this.#writability,
      onOver: ({ nar }) => void this.#fillings.delete(toBareHash(nar.narHash)),
    }
  }

  async start(): Promise<void> {
    if (this.#room.maxBytes === 0 && !(await this.#directory.exists())) return
    const isWritable = await this.#writability.claim()
    this.#arranged = this.#kept.gatherAges()
    this.#room.awaitOrder(this.#arranged)
    if (isWritable) void this.#room.shrink()
  }

  get stats(): LarderStats {
    return {
      files: this.#shelf.count,
      bytes: this.#room.bytes,
      maxBytes: this.#room.maxBytes,
      fillsUnderWay: this.#fillings.size,
      hits: this.#hits,
      fills: this.#fills,
      deltas: this.#deltas?.stats ?? { made: 0, sent: 0, savedBytes: 0 },
      evictions: this.#evictions,
      damaged: this.#kept.damaged,
      unwritable: this.#writability.reason ?? this.#room.shortage,
    }
  }

  find(narHash: string): CompressedNar | undefined {
    const bare = toBareHash(narHash)
    return this.#shelf.find(bare)?.toCompressedNar() ?? this.#known.find(bare)
  }

  peek(narHash: string): Uint8Array | undefined {
    const bare = toBareHash(narHash)
    const bytes = this.#small.find(bare)
    if (bytes === undefined) return undefined
    this.#hits++
    // Used from memory is used all the same.
    const kept = this.#shelf.find(bare)
    if (kept !== undefined) this.#kept.use(kept)
    return bytes
  }

  findKept(narHash: string, recipe: string): CompressedNar | undefined {
    return this.#findKept(narHash, recipe)?.toCompressedNar()
  }

  async open(nar: NarRequest): Promise<{ readonly size: number | undefined; readonly chunks: ChunkReader }> {
    const opened = await this.#openWhatIsThere(nar, undefined)
    if (opened !== undefined) return opened
    const size = this.#known.find(toBareHash(nar.narHash))?.fileSize
    const filling = this.#join(nar)
    return {
      size,
      chunks:
        filling === undefined
          ? this.#readers.watch(this.#direct.open(nar))
          : this.#read(filling.enter(), undefined, nar),
    }
  }

  async openRange(nar: NarRequest, range: ByteRange): Promise<ChunkReader> {
    const opened = await this.#openWhatIsThere(nar, range)
    if (opened !== undefined) return opened.chunks
    const filling = this.#join(nar)
    return filling === undefined
      ? this.#readers.watch(this.#direct.open(nar, range.start, range.end))
      : this.#read(filling.enter(), range, nar)
  }

  async openKept(
    narHash: string,
    recipe: string,
    range?: ByteRange,
  ): Promise<{ readonly size: number; readonly chunks: ChunkReader } | undefined> {
    this.#refuseClosed()
    const kept = this.#findKept(narHash, recipe)
    if (kept === undefined) return undefined
    if (range === undefined && isDeltaRecipe(recipe)) this.#deltas?.sent(kept)
    return await this.#openKept(kept, range, undefined)
  }

  async settle(nar: NarRequest): Promise<CompressedNar> {
    const underWay = this.#fillings.get(toBareHash(nar.narHash))
    const known = this.find(nar.narHash)
    if (known !== undefined && underWay === undefined) return known
    this.#refuseClosed()
    const filled = await (underWay ?? this.#join(nar))?.settled
    return (
      filled ?? this.find(nar.narHash) ?? (await this.#direct.measure(nar, (reader) => this.#readers.watch(reader)))
    )
  }

  deltaRecipe(baseNarHash: string): string | undefined {
    return this.#deltas && formatDeltaRecipe(this.#zstdVersion, baseNarHash)
  }

  keepDelta(target: DeltaEnd, base: DeltaEnd): Promise<CompressedNar | undefined> {
    this.#refuseClosed()
    const recipe = this.deltaRecipe(base.narHash)
    if (this.#deltas === undefined || recipe === undefined || this.#room.maxBytes === 0)
      return Promise.resolve(undefined)
    return this.#deltas.keep(target, base, recipe)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#readers.closeAll()
    const fillings = [...this.#fillings.values()]
    for (const filling of fillings) filling.abandon()
    await Promise.allSettled(fillings.map(({ settled }) => settled))
    await this.#direct.settle()
    await this.#deltas?.close()
    await this.#kept[Symbol.asyncDispose]()
    await this.#arranged
    await this.#room.settle()
    await this.#files[Symbol.asyncDispose]()
    await this.#directory[Symbol.asyncDispose]()
  }

  async #openWhatIsThere(
    nar: NarRequest,
    range: ByteRange | undefined,
  ): Promise<{ readonly size: number; readonly chunks: ChunkReader } | undefined> {
    this.#refuseClosed()
    const bare = toBareHash(nar.narHash)
    const bytes = this.peek(nar.narHash)
    if (bytes !== undefined) return this.#fromMemory(bytes, range)
    // A bad file is dropped from the shelf when it is opened, so this ends.
    for (let kept = this.#shelf.find(bare); kept !== undefined; kept = this.#shelf.find(bare)) {
      const opened = await this.#openKept(kept, range, nar)
      if (opened !== undefined) return opened
    }
    return undefined
  }

  async #openKept(
    kept: KeptFile,
    range: ByteRange | undefined,
    nar: NarRequest | undefined,
  ): Promise<{ readonly size: number; readonly chunks: ChunkReader } | undefined> {
    this.#kept.use(kept)
    if (KeptFiles.isSmall(kept)) {
      const bytes = await this.#kept.load(kept)
      this.#refuseClosed()
      if (bytes === undefined) return undefined
      this.#hits++
      return this.#fromMemory(bytes, range)
    }
    const part = range !== undefined && range.end - range.start === kept.fileSize ? undefined : range
    const source = await this.#kept.openSource(kept, part === undefined)
    if (source === undefined) return undefined
    if (this.#isClosed) source.leave()
    this.#refuseClosed()
    this.#hits++
    return { size: source.size, chunks: this.#read(source, part, nar) }
  }

  #fromMemory(
    bytes: Uint8Array,
    range: ByteRange | undefined,
  ): { readonly size: number; readonly chunks: ChunkReader } {
    return {
      size: bytes.byteLength,
      chunks: new BytesReader(range === undefined ? bytes : bytes.subarray(range.start, range.end)),
    }
  }

  #findKept(narHash: string, recipe: string): KeptFile | undefined {
    const bare = toBareHash(narHash)
    return recipe === this.recipe ? this.#shelf.find(bare) : this.#shelf.findOther(bare, recipe)
  }

  /** The compression of this NAR, a new one if there is none; undefined when nothing can be kept now. */
  #join(nar: NarRequest): Filling | undefined {
    this.#refuseClosed()
    const bare = toBareHash(nar.narHash)
    const present = this.#fillings.get(bare)
    if (present !== undefined) return present
    if (this.#room.maxBytes === 0 || !this.#writability.mayTry) return undefined
    this.#fills++
    const filling = new Filling(nar, this.#fillContext)
    this.#fillings.set(bare, filling)
    return filling
  }

  #read(source: Source, range: ByteRange | undefined, nar: NarRequest | undefined): ChunkReader {
    const openRest: OpenRest = (start, end) => {
      if (nar === undefined) throw new Fault('larder-damaged', 'Cannot make a NAR of an older recipe again')
      return this.#direct.open(nar, start, end)
    }
    return this.#readers.watch(new FileReader(source, range, this.#buffers, openRest))
  }

  #onEvicted(file: KeptFile): void {
    this.#evictions++
    if (file.recipe === this.recipe) this.#known.add(file.narHash, file.toCompressedNar())
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new Fault('abandoned', 'Cannot read from the larder: it is closing')
  }
}

function randomName(): string {
  return randomBytes(12).toString('hex')
}
