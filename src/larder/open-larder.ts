/** Opens the larder: its parts, put together. */
import { randomBytes } from 'node:crypto'

import type { DeltaMaker } from '../delta/maker/contract.ts'
import { OpenFiles } from '../disk/open-files.ts'
import type { Log } from '../log.ts'
import type { Packer } from '../nar/contract.ts'
import { Deltas } from './deltas.ts'
import { DirectCompressor } from './direct-compressor.ts'
import { Directory } from './directory.ts'
import { DiskLarder, type LarderParts } from './disk-larder.ts'
import { formatRecipe } from './file-name.ts'
import { Fillings } from './fillings.ts'
import { KeptFiles } from './kept-files.ts'
import { KnownSizes } from './known-sizes.ts'
import type { Larder } from './larder.ts'
import { LiveReaders } from './live-readers.ts'
import { PresentNars } from './present-nars.ts'
import { Room } from './room.ts'
import { Shelf } from './shelf.ts'
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

/**
 * Opens the larder: its index is there when this resolves, the order of use is gathered in the background. A directory
 * that cannot be written is no error (see `stats.unwritable`). Rejects with a Fault `larder-unwritable` that says what
 * to do when another process has the directory, or when it was made for something else.
 */
export async function openLarder(options: LarderOptions): Promise<Larder> {
  const larder = new DiskLarder(createParts(options))
  await larder.start()
  return larder
}

function createParts(options: LarderOptions): LarderParts {
  const { dir, maxBytes, level, zstdVersion, packer, deltaMaker, log } = options
  const {
    memoryBytes = defaultMemoryBytes,
    now = Date.now,
    steadyNow = () => performance.now(),
    random = randomName,
  } = options
  const recipe = formatRecipe(level, zstdVersion)
  const files = new OpenFiles()
  const known = new KnownSizes()
  const readers = new LiveReaders()
  const shelf = new Shelf(recipe)
  const directory = new Directory(dir, log, now, random)
  const room = new Room(maxBytes, shelf, directory, files, log, (file) => {
    if (file.recipe === recipe) known.add(file.narHash, file.toCompressedNar())
  })
  const small = new SmallNars(memoryBytes)
  const direct = new DirectCompressor(packer, level, known, small)
  const kept = new KeptFiles(shelf, files, directory, small, log, now, steadyNow)
  const writability = new Writability(directory, room, log, steadyNow, (names) => kept.adopt(names))
  const deltas =
    deltaMaker &&
    new Deltas({
      maker: deltaMaker,
      directory,
      shelf,
      room,
      known,
      files,
      writability,
      now,
      log,
    })
  const fillings = new Fillings({
    packer,
    level,
    recipe,
    directory,
    shelf,
    room,
    files,
    proofs: kept.proofs,
    small,
    known,
    now,
    writability,
  })
  const present = new PresentNars(shelf, small, kept, direct, readers)
  return {
    recipe,
    zstdVersion,
    shelf,
    directory,
    room,
    files,
    small,
    known,
    kept,
    writability,
    fillings,
    present,
    readers,
    direct,
    deltas,
  }
}

function randomName(): string {
  return randomBytes(12).toString('hex')
}
