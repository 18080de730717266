/**
 * Open files and how often each is used. A file's descriptor is shared by all who read it and closed when the last one
 * leaves; those lately used stay open for the next reader, up to a number. Reads are positional: no reader disturbs
 * another.
 */
import { close, constants, fstatSync, futimesSync, open, read } from 'node:fs'

import { type FileStamp, toFileStamp } from './file-stamp.ts'

/** Enough for the hot files of a team, far below any limit on descriptors. */
const maxIdle = 64

export class OpenFiles {
  /** Name to file, least recently used first. Each holds one use of its own. */
  readonly #remembered = new Map<string, OpenFile>()
  readonly #counter = new OpenCounter()

  /** How many descriptors are open. */
  get count(): number {
    return this.#counter.count
  }

  /** Opens the file under `path` for one use. Rejects with the system's error. */
  open(path: string): Promise<OpenFile> {
    return new Promise((resolve, reject) => {
      open(path, constants.O_RDONLY | constants.O_NOFOLLOW, (error, fd) =>
        error === null ? resolve(new OpenFile(fd, this.#counter)) : reject(error),
      )
    })
  }

  /** A use of the file remembered under this name, if it is still open. */
  find(name: string): OpenFile | undefined {
    const file = this.#remembered.get(name)
    if (file === undefined) return undefined
    this.#remembered.delete(name)
    this.#remembered.set(name, file)
    return file.retain()
  }

  /** Keeps the file open under this name for later readers. */
  remember(name: string, file: OpenFile): void {
    if (this.#remembered.has(name)) return
    this.#remembered.set(name, file.retain())
    if (this.#remembered.size <= maxIdle) return
    for (const [oldest] of this.#remembered) {
      this.forget(oldest)
      break
    }
  }

  forget(name: string): void {
    const file = this.#remembered.get(name)
    this.#remembered.delete(name)
    file?.release()
  }

  /**
   * Resolves when all files that are being closed now are closed: until then the disk space of deleted ones is not
   * free.
   */
  untilClosed(): Promise<void> {
    return this.#counter.untilClosed()
  }

  /** Closes what is remembered, and waits until those who still read have left and every file is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.#remembered.keys()]) this.forget(name)
    await this.#counter.untilNone()
  }
}

class OpenCounter {
  count = 0
  readonly #closing = new Set<OpenFile>()
  /** Called with each file that was closed. */
  readonly #waiting = new Set<(file: OpenFile) => void>()
  #onNone: (() => void) | undefined

  closes(file: OpenFile): void {
    this.#closing.add(file)
  }

  closed(file: OpenFile): void {
    this.count--
    this.#closing.delete(file)
    for (const onClosed of this.#waiting) onClosed(file)
    if (this.count === 0) this.#onNone?.()
  }

  /** Files that begin to close later are not waited for, so it ends however busy the cache is. */
  async untilClosed(): Promise<void> {
    const pending = new Set(this.#closing)
    if (pending.size === 0) return
    await new Promise<void>((resolve) => {
      const onClosed = (file: OpenFile) => {
        pending.delete(file)
        if (pending.size > 0) return
        this.#waiting.delete(onClosed)
        resolve()
      }
      this.#waiting.add(onClosed)
    })
  }

  async untilNone(): Promise<void> {
    if (this.count > 0) await new Promise<void>((resolve) => (this.#onNone = resolve))
  }
}

export class OpenFile {
  readonly #fd: number
  readonly #counter: OpenCounter
  #uses = 1

  constructor(fd: number, counter: OpenCounter) {
    this.#fd = fd
    this.#counter = counter
    counter.count++
  }

  retain(): this {
    this.#uses++
    return this
  }

  /** Gives one use back; the last one closes the file, which must have no read under way then. */
  release(): void {
    if (--this.#uses > 0) return
    this.#counter.closes(this)
    close(this.#fd, () => this.#counter.closed(this))
  }

  /**
   * True when it is a regular file of this size that still has a name. Synchronous: on an open descriptor it costs a
   * microsecond and never waits for the disk.
   */
  isWhole(size: number): boolean {
    const stat = fstatSync(this.#fd)
    return stat.isFile() && stat.size === size && stat.nlink > 0
  }

  /** Synchronous, as `isWhole`. */
  stamp(): FileStamp {
    return toFileStamp(fstatSync(this.#fd))
  }

  /**
   * Sets the file's time. Synchronous, so that next to nothing can change unseen between two stamps taken before and
   * after. @throws the system's error
   */
  markUsed(nowMs: number): void {
    futimesSync(this.#fd, nowMs / 1000, nowMs / 1000)
  }

  /**
   * Fills `length` bytes of the buffer from `position`; resolves to fewer only at the end of the file. Rejects with the
   * system's error.
   */
  async read(buffer: Buffer, length: number, position: number): Promise<number> {
    let filled = 0
    while (filled < length) {
      const count = await this.#readOnce(buffer, filled, length - filled, position + filled)
      if (count === 0) break
      filled += count
    }
    return filled
  }

  #readOnce(buffer: Buffer, offset: number, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      read(this.#fd, buffer, offset, length, position, (error, count) =>
        error === null ? resolve(count) : reject(error),
      )
    })
  }
}
