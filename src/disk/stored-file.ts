/**
 * A file with known contents, opened for readers who must get exactly those: `size` bytes with the SHA-256 `hash`.
 *
 * The first reader after a start, or after the file's stamp changed (inode, size, times), waits until the whole file
 * was read and found right. A reader of the whole file hashes what it sends once more and gets its last chunk only when
 * the hash is right, so contents that rot without a trace in the times are never sent to the end. A range is sent from
 * a file whose stamp is still the one that was checked, before and after.
 */
import { createHash, type Hash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

import type { ByteRange, Chunk, ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import { formatSha256 } from '../nix/hash.ts'
import { type FileStamp, isSameStamp, toFileStamp } from './file-stamp.ts'

export interface StoredFile {
  /** Absolute. */
  readonly path: string
  readonly size: number
  /** `sha256:<52 Nix32>` */
  readonly hash: string
  /**
   * What else must hold of the contents; asked with a reader of the whole when a file is checked for the first time.
   * Rejects with a Fault. Closes the reader.
   */
  readonly examine?: (contents: ChunkReader) => Promise<void>
}

/** Large enough that the cost of a read does not count, small enough that a slow reader holds little. */
const chunkBytes = 512 * 1024

export async function openHandle({ path }: StoredFile): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    throw faultOf(path, error)
  }
}

function faultOf(path: string, cause: unknown): Fault {
  const isGone = (cause as NodeJS.ErrnoException).code === 'ENOENT'
  return new Fault(
    isGone ? 'nar-changed' : 'nar-unreadable',
    `Cannot read the stored NAR "${path}": ${(cause as Error).message}`,
    { cause },
  )
}

export async function stampOf(handle: FileHandle, { path, size }: StoredFile): Promise<FileStamp> {
  const stat = await handle.stat()
  if (!stat.isFile() || stat.size !== size)
    throw new Fault('nar-mismatch', `The stored NAR "${path}" has ${stat.size} bytes instead of ${size}`)
  return toFileStamp(stat)
}

/** Reads ahead by one chunk; what `accept` throws for a chunk ends the transfer before that chunk is handed out. */
abstract class StoredReader implements ChunkReader {
  protected readonly handle: FileHandle
  protected readonly file: StoredFile
  readonly #end: number
  #at: number
  #ahead: Promise<Buffer> | undefined
  #isClosed = false

  constructor(handle: FileHandle, file: StoredFile, { start, end }: ByteRange) {
    this.handle = handle
    this.file = file
    this.#at = start
    this.#end = end
  }

  /** Before a chunk is handed out. */
  protected abstract accept(bytes: Buffer, isLast: boolean): Promise<void> | void

  async next(): Promise<Chunk | undefined> {
    if (this.#isClosed) throw new Fault('abandoned', 'Cannot read on: the reader was closed')
    if (this.#at >= this.#end) return undefined
    try {
      const bytes = await (this.#ahead ?? this.#read(this.#at))
      if (this.#isClosed) throw new Fault('abandoned', 'Cannot read on: the reader was closed')
      this.#at += bytes.length
      const isLast = this.#at >= this.#end
      this.#ahead = isLast ? undefined : this.#read(this.#at)
      this.#ahead?.catch(() => {})
      await this.accept(bytes, isLast)
      return { bytes, release() {} }
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const close = () => void this.handle.close()
    if (this.#ahead === undefined) close()
    else this.#ahead.then(close, close)
  }

  async #read(position: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(Math.min(chunkBytes, this.#end - position))
    try {
      for (let filled = 0; filled < bytes.length; ) {
        const { bytesRead } = await this.handle.read(bytes, filled, bytes.length - filled, position + filled)
        if (bytesRead === 0) throw new Error(`it ends at ${position + filled}`)
        filled += bytesRead
      }
      return bytes
    } catch (error) {
      throw faultOf(this.file.path, error)
    }
  }
}

export class WholeReader extends StoredReader {
  readonly #hash: Hash = createHash('sha256')
  readonly #onWrong: () => void

  constructor(handle: FileHandle, file: StoredFile, onWrong: () => void) {
    super(handle, file, { start: 0, end: file.size })
    this.#onWrong = onWrong
  }

  protected accept(bytes: Buffer, isLast: boolean): void {
    this.#hash.update(bytes)
    if (!isLast) return
    const found = formatSha256(this.#hash.digest())
    if (found === this.file.hash) return
    this.#onWrong()
    throw new Fault(
      'nar-mismatch',
      `The stored NAR "${this.file.path}" has the hash ${found} instead of ${this.file.hash}`,
    )
  }
}

export class RangeReader extends StoredReader {
  readonly #stamp: FileStamp

  constructor(handle: FileHandle, file: StoredFile, range: ByteRange, stamp: FileStamp) {
    super(handle, file, range)
    this.#stamp = stamp
  }

  protected async accept(_bytes: Buffer, isLast: boolean): Promise<void> {
    if (!isLast || isSameStamp(await stampOf(this.handle, this.file), this.#stamp)) return
    throw new Fault('nar-changed', `The stored NAR "${this.file.path}" was changed while it was read`)
  }
}
