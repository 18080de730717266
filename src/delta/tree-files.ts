/**
 * The regular files of a file tree on disk. No symlink is followed: each directory on the way is looked at first, and
 * the file itself is opened with O_NOFOLLOW. What this rests on is that the tree is a store object, which does not
 * change; only the paths asked for may be anybody's.
 */

import * as fs from 'node:fs'
import { close, constants, type Stats } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { Fault } from '../faults.ts'
import { faultOfFile } from '../nar/file-faults.ts'
import type { BaseFile, BaseFiles } from './base-files.ts'

/** O_NONBLOCK: opening a fifo must not block. */
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** Directories remembered as such; a tree with more is looked at again from time to time. */
const maxKnownDirectories = 4096
const slash = 0x2f

const openFile = promisify(fs.open)
const statFile = promisify(fs.fstat) as (fd: number) => Promise<Stats>

export class TreeFiles implements BaseFiles {
  readonly #top: Buffer
  /** Paths below the top, one character a byte. */
  readonly #directories = new Set<string>()

  /** @param realPath absolute path of the store object */
  constructor(realPath: Uint8Array | string) {
    this.#top = Buffer.from(realPath as Uint8Array)
  }

  /** Rejects with the faults nar-changed, nar-unreadable and busy. */
  async open(path: Buffer): Promise<BaseFile> {
    await this.#requireDirectories(path)
    const full = this.#fullPath(path)
    let fd: number
    try {
      fd = await openFile(full, openFlags)
    } catch (error) {
      throw faultOfFile(error, 'open', full)
    }
    try {
      const stats = await statFile(fd)
      if (!stats.isFile()) throw new Fault('nar-changed', `Cannot read "${full}": it is not a regular file`)
      return new TreeFile(fd, stats.size, full)
    } catch (error) {
      close(fd, () => undefined)
      throw error instanceof Fault ? error : faultOfFile(error, 'inspect', full)
    }
  }

  async #requireDirectories(path: Buffer): Promise<void> {
    if (path.length === 0) return
    for (let end = 0; end !== -1; end = path.indexOf(slash, end + 1)) {
      const directory = path.subarray(0, end)
      const key = directory.toString('latin1')
      if (this.#directories.has(key)) continue
      const full = this.#fullPath(directory)
      const stats = await lstat(full).catch((error: unknown) => {
        throw faultOfFile(error, 'inspect', full)
      })
      if (!stats.isDirectory()) throw new Fault('nar-changed', `Cannot read below "${full}": it is not a directory`)
      if (this.#directories.size >= maxKnownDirectories) this.#directories.clear()
      this.#directories.add(key)
    }
  }

  #fullPath(path: Buffer): Buffer {
    return path.length === 0 ? this.#top : Buffer.concat([this.#top, Buffer.from('/'), path])
  }
}

class TreeFile implements BaseFile {
  readonly size: number
  readonly #path: Buffer
  #fd: number

  constructor(fd: number, size: number, path: Buffer) {
    this.#fd = fd
    this.size = size
    this.#path = path
  }

  async read(into: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const count = await this.#readOnce(into, done, position + done)
      if (count === 0)
        throw new Fault('nar-changed', `Cannot read "${this.#path}": it ends at ${position + done} bytes`)
      done += count
    }
  }

  close(): void {
    if (this.#fd === -1) return
    close(this.#fd, () => undefined)
    this.#fd = -1
  }

  #readOnce(into: Uint8Array, at: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.#fd, into, at, into.length - at, position, (error, count) =>
        error === null ? resolve(count) : reject(faultOfFile(error, 'read', this.#path)),
      )
    })
  }
}
