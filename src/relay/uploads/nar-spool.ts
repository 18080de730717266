/**
 * NARs that Nix sent, decompressed, until their narinfo says which path they are and the far end has them. A folder of
 * the relay's own: what an earlier run left in it is removed.
 */
import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'

import { Fault } from '../../faults.ts'
import { createDecompressor, type Decompressors } from '../../nar/decompress.ts'
import { formatSha256 } from '../../nix/hash.ts'
import type { NarFileUrl } from '../../nix/nar-file-url.ts'

export interface SpooledNar {
  /** The uncompressed NAR. */
  readonly file: string
  /** `sha256:<52 Nix32>` */
  readonly narHash: string
  /** Bytes. */
  readonly narSize: number
}

/** A push that was given up leaves its NARs behind for so long: Nix may try again. */
const keptMs = 3_600_000
/** A few kilobytes can be decompressed to terabytes: that much of the disk stays free. */
const keepFreeBytes = 1024 ** 3
/** Bytes between two looks at what is free. */
const checkEveryBytes = 64 * 1024 * 1024
const spooledName = /^(?:incoming-\d+|[0-9a-df-np-sv-z]{52}\.nar)$/

/** Bytes that the file system of a folder has left for us. */
export type FreeBytes = (dir: string) => Promise<number>

export class NarSpool {
  readonly #dir: string
  readonly #decompressors: Decompressors
  readonly #readFreeBytes: FreeBytes
  /** By the hash of the file that Nix sent. */
  readonly #nars = new Map<string, SpooledNar>()
  readonly #timers = new Map<string, NodeJS.Timeout>()
  #count = 0

  private constructor(dir: string, decompressors: Decompressors, readFreeBytes: FreeBytes) {
    this.#dir = dir
    this.#decompressors = decompressors
    this.#readFreeBytes = readFreeBytes
  }

  /** Makes the folder (0700) if it is missing. */
  static async open(dir: string, decompressors: Decompressors, readFreeBytes: FreeBytes = readFree): Promise<NarSpool> {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    for (const name of await readdir(dir)) if (spooledName.test(name)) await rm(join(dir, name), { force: true })
    return new NarSpool(dir, decompressors, readFreeBytes)
  }

  find(fileHash: string): SpooledNar | undefined {
    return this.#nars.get(fileHash)
  }

  /**
   * Takes a body to its end. Rejects with a Fault: `nar-mismatch` if it is not what its name says,
   * `nar-unreadable` for a compression that cannot be read here; and with the disk's error, ENOSPC also while there is
   * a little room left.
   */
  async receive({ fileHash, compression }: NarFileUrl, body: AsyncIterable<Buffer>): Promise<void> {
    const temporary = join(this.#dir, `incoming-${this.#count++}`)
    const decompressor = createDecompressor(compression, this.#decompressors)
    const handle = await open(temporary, 'wx', 0o600)
    try {
      const writer = new NarWriter(handle, () => this.#requireRoom())
      const hash = createHash('sha256')
      if (decompressor === undefined) {
        for await (const piece of body) {
          hash.update(piece)
          await writer.write(piece)
        }
      } else {
        const decoded = writeAll(decompressor, writer)
        decoded.catch(() => {})
        for await (const piece of body) {
          hash.update(piece)
          if (!decompressor.write(piece))
            await Promise.race([new Promise((resolve) => decompressor.once('drain', resolve)), decoded])
        }
        decompressor.end()
        await decoded
      }
      const found = formatSha256(hash.digest())
      if (found !== fileHash)
        throw new Fault('nar-mismatch', `The body has the hash ${found}, and its name says ${fileHash}: send it again`)
      const nar = writer.end()
      await handle.close()
      const file = join(this.#dir, `${fileHash.slice('sha256:'.length)}.nar`)
      await rename(temporary, file)
      this.#nars.set(fileHash, { file, ...nar })
      this.#keepFor(fileHash)
    } catch (error) {
      decompressor?.destroy()
      await handle.close().catch(() => {})
      await rm(temporary, { force: true })
      throw error
    }
  }

  async #requireRoom(): Promise<void> {
    if ((await this.#readFreeBytes(this.#dir)) >= keepFreeBytes) return
    const reason = `less than ${keepFreeBytes / 1024 ** 3} GiB of the disk would stay free`
    throw Object.assign(new Error(reason), { code: 'ENOSPC', syscall: 'write' })
  }

  async remove(fileHash: string): Promise<void> {
    const nar = this.#nars.get(fileHash)
    clearTimeout(this.#timers.get(fileHash))
    this.#timers.delete(fileHash)
    this.#nars.delete(fileHash)
    if (nar !== undefined) await rm(nar.file, { force: true })
  }

  #keepFor(fileHash: string): void {
    clearTimeout(this.#timers.get(fileHash))
    this.#timers.set(fileHash, setTimeout(() => void this.remove(fileHash), keptMs).unref())
  }
}

/** Writes a NAR and hashes it. Whether it is one, the far end will say. */
class NarWriter {
  readonly #handle: FileHandle
  readonly #requireRoom: () => Promise<void>
  readonly #hash: Hash = createHash('sha256')
  #size = 0
  #checkAt = 0

  constructor(handle: FileHandle, requireRoom: () => Promise<void>) {
    this.#handle = handle
    this.#requireRoom = requireRoom
  }

  async write(bytes: Buffer): Promise<void> {
    if (this.#size >= this.#checkAt) {
      await this.#requireRoom()
      this.#checkAt = this.#size + checkEveryBytes
    }
    this.#hash.update(bytes)
    this.#size += bytes.length
    // `write` may write a part only, when the disk becomes full; this goes on until the end or an error.
    await this.#handle.appendFile(bytes)
  }

  end(): Omit<SpooledNar, 'file'> {
    return { narHash: formatSha256(this.#hash.digest()), narSize: this.#size }
  }
}

async function writeAll(decoded: AsyncIterable<Buffer>, writer: NarWriter): Promise<void> {
  try {
    for await (const piece of decoded) await writer.write(piece)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === 'write') throw error
    throw new Fault('nar-mismatch', `The body cannot be decompressed: ${(error as Error).message}`, { cause: error })
  }
}

async function readFree(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir)
  return bavail * bsize
}
