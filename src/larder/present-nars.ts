/** The compressed NARs that are there, in memory or as kept files: opened for one reader each. */
import { BytesReader } from '../chunk-readers.ts'
import type { ByteRange, ChunkReader } from '../chunks.ts'
import { ChunkBuffers } from '../disk/chunk-buffers.ts'
import { FileReader, type OpenRest } from '../disk/file-reader.ts'
import type { Source } from '../disk/file-source.ts'
import { Fault } from '../faults.ts'
import type { NarRequest } from '../nar/contract.ts'
import type { DirectCompressor } from './direct-compressor.ts'
import { toBareHash } from './file-name.ts'
import type { KeptFiles } from './kept-files.ts'
import type { LiveReaders } from './live-readers.ts'
import type { KeptFile, Shelf } from './shelf.ts'
import { isSmall, type SmallNars } from './small-nars.ts'

export interface OpenedNar {
  /** Bytes of the whole. */
  readonly size: number
  readonly chunks: ChunkReader
}

export class PresentNars {
  readonly #shelf: Shelf
  readonly #small: SmallNars
  readonly #kept: KeptFiles
  readonly #direct: DirectCompressor
  readonly #readers: LiveReaders
  readonly #buffers = new ChunkBuffers()
  #hits = 0
  #isClosed = false

  constructor(shelf: Shelf, small: SmallNars, kept: KeptFiles, direct: DirectCompressor, readers: LiveReaders) {
    this.#shelf = shelf
    this.#small = small
    this.#kept = kept
    this.#direct = direct
    this.#readers = readers
  }

  /** How often one was found. */
  get hits(): number {
    return this.#hits
  }

  /** As `Larder.peek`. */
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

  /** Undefined when it is neither in memory nor kept. */
  async open(nar: NarRequest, range?: ByteRange): Promise<OpenedNar | undefined> {
    const bare = toBareHash(nar.narHash)
    const bytes = this.peek(nar.narHash)
    if (bytes !== undefined) return fromMemory(bytes, range)
    // A bad file is dropped from the shelf when it is opened, so this ends.
    for (let kept = this.#shelf.find(bare); kept !== undefined; kept = this.#shelf.find(bare)) {
      const opened = await this.openKept(kept, range, nar)
      if (opened !== undefined) return opened
    }
    return undefined
  }

  /** Undefined when the file turned out to be bad. `nar`: what a bad file is made from again; undefined for an older recipe. */
  async openKept(
    kept: KeptFile,
    range: ByteRange | undefined,
    nar: NarRequest | undefined,
  ): Promise<OpenedNar | undefined> {
    this.#kept.use(kept)
    if (isSmall(kept)) {
      const bytes = await this.#kept.load(kept)
      this.#refuseClosed()
      if (bytes === undefined) return undefined
      this.#hits++
      return fromMemory(bytes, range)
    }
    const part = range !== undefined && range.end - range.start === kept.fileSize ? undefined : range
    const source = await this.#kept.openSource(kept, part === undefined)
    if (source === undefined) return undefined
    if (this.#isClosed) source.leave()
    this.#refuseClosed()
    this.#hits++
    return { size: source.size, chunks: this.read(source, part, nar) }
  }

  /** One reader of a file, which falls back to compressing the rest again. */
  read(source: Source, range: ByteRange | undefined, nar: NarRequest | undefined): ChunkReader {
    const openRest: OpenRest = (start, end) => {
      if (nar === undefined) throw new Fault('larder-damaged', 'Cannot make a NAR of an older recipe again')
      return this.#direct.open(nar, start, end)
    }
    return this.#readers.watch(new FileReader(source, range, this.#buffers, openRest))
  }

  close(): void {
    this.#isClosed = true
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new Fault('abandoned', 'Cannot read from the larder: it is closing')
  }
}

function fromMemory(bytes: Uint8Array, range: ByteRange | undefined): OpenedNar {
  return {
    size: bytes.byteLength,
    chunks: new BytesReader(range === undefined ? bytes : bytes.subarray(range.start, range.end)),
  }
}
