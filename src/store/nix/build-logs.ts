/**
 * Build logs as Nix keeps them, found by the base name of the derivation and decoded to plain text:
 *
 *   drvs/lp/3xijf…-app-1.0.drv      plain, as written while `compress-build-log` is off
 *   drvs/lp/3xijf…-app-1.0.drv.bz2  the usual form; `.zst` as some newer tools leave them
 *   drvs/lp3xijf…-app-1.0.drv[.…]   of very old Nix versions
 *
 * A `?` in a derivation's name cuts the request's path there: then the hash part alone decides. Source: Nix,
 * `LocalFSStore::getBuildLogExact`.
 */
import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, readdir, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { pipeline, type Readable } from 'node:stream'
import { createZstdDecompress } from 'node:zlib'
import type { Clock } from '../../clock.ts'
import { Fault } from '../../faults.ts'
import { parseBaseName, parseHashPart } from '../../nix/store-path.ts'
import { Bzip2Reader } from './bzip2.ts'

const suffixes = ['', '.bz2', '.zst'] as const
type Suffix = (typeof suffixes)[number]

/** Each decoder is a thread. */
const maxDecoders = 8
const chunkBytes = 64 << 10
const hashPartLength = 32

interface LogFile {
  readonly file: string
  readonly suffix: Suffix
}

export class BuildLogs {
  readonly #dir: string
  readonly #clock: Clock
  #decoders = 0

  /** @param logDir `/nix/var/log/nix` */
  constructor(logDir: string, clock: Clock) {
    this.#dir = logDir
    this.#clock = clock
  }

  /**
   * The caller reads the stream to its end or destroys it. A damaged log is an error of the stream, never a shorter
   * log.
   * @param drvBaseName `<hash part>-<name>.drv`; a name cut short will do
   * @throws {Fault} busy
   */
  async openLog(drvBaseName: string): Promise<Readable | undefined> {
    if (parseBaseName(drvBaseName)) {
      for (const log of candidates(join(this.#dir, 'drvs'), drvBaseName)) {
        const handle = await this.#openInside(log.file)
        if (handle) return this.#decode(handle, log.suffix)
      }
    }
    const hashPart = parseHashPart(drvBaseName.slice(0, hashPartLength))
    const found = hashPart === undefined ? undefined : await this.#findByHashPart(hashPart)
    const handle = found && (await this.#openInside(found.file))
    return handle && this.#decode(handle, found.suffix)
  }

  async #findByHashPart(hashPart: string): Promise<LogFile | undefined> {
    const drvs = join(this.#dir, 'drvs')
    const start = hashPart.slice(0, 2)
    for (const [dir, prefix] of [
      [join(drvs, start), ''],
      [drvs, start],
    ] as const) {
      for (const name of await list(dir)) {
        const baseName = prefix === '' ? `${start}${name}` : name
        const suffix = suffixes.findLast((ending) => name.endsWith(`.drv${ending}`))
        if (suffix === undefined || !baseName.startsWith(`${hashPart}-`)) continue
        if (parseBaseName(baseName.slice(0, baseName.length - suffix.length))) return { file: join(dir, name), suffix }
      }
    }
    return undefined
  }

  /** Undefined unless it is a regular file in the log directory, after all links are resolved. */
  async #openInside(file: string): Promise<FileHandle | undefined> {
    let handle: FileHandle | undefined
    try {
      const [dir, real] = await Promise.all([realpath(this.#dir), realpath(file)])
      if (!real.startsWith(dir + sep)) return undefined
      // A pipe would block the opening, were it not for O_NONBLOCK.
      handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
      const stat: Stats = await handle.stat()
      if (stat.isFile()) return handle
    } catch (error) {
      if (!isAbsence(error)) throw error
    }
    await handle?.close()
    return undefined
  }

  async #decode(handle: FileHandle, suffix: Suffix): Promise<Readable> {
    if (suffix === '.bz2') {
      if (this.#decoders >= maxDecoders) {
        await handle.close()
        throw new Fault('busy', `Cannot decode a build log: ${maxDecoders} are being decoded already`)
      }
      this.#decoders++
      return new Bzip2Reader(handle, this.#clock).once('close', () => this.#decoders--)
    }
    const plain = handle.createReadStream({ highWaterMark: chunkBytes })
    // The error reaches the reader through the last stream.
    return suffix === '' ? plain : pipeline(plain, createZstdDecompress(), () => {})
  }
}

/** In the order in which Nix looks. */
function candidates(drvs: string, baseName: string): LogFile[] {
  const names = [join(drvs, baseName.slice(0, 2), baseName.slice(2)), join(drvs, baseName)]
  return names.flatMap((name) => suffixes.map((suffix) => ({ file: name + suffix, suffix })))
}

async function list(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir)).sort()
  } catch (error) {
    if (isAbsence(error)) return []
    throw error
  }
}

/** A log that may not be read is as good as none. */
function isAbsence(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  return ['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENAMETOOLONG', 'ENXIO', 'EISDIR'].includes(code)
}
