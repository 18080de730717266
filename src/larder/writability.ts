/**
 * Whether the larder can be written at the moment, and why not. After a write failed nothing is tried for a while, so
 * that every request on a full disk is not first compressed for the bin; when the disk is full but holds kept files,
 * the least recently used make room and nothing is waited for.
 */
import { open, statfs, unlink } from 'node:fs/promises'

import { isDiskFull } from '../disk/disk.ts'
import type { Log } from '../log.ts'
import { type Directory, DirectoryRefused } from './directory.ts'
import type { Room } from './room.ts'

/** Short enough that a disk which was cleared is used again soon, long enough that trying costs nothing. */
const setbackMs = 60_000
const probeBytes = 64 * 1024

export class Writability {
  readonly #directory: Directory
  readonly #room: Room
  readonly #log: Log
  readonly #steadyNow: () => number
  readonly #adopt: (names: readonly string[]) => string[]
  #reason: string | undefined
  #tryAgainAt = 0
  #isClaimed = false
  #preparing: Promise<boolean> | undefined

  constructor(
    directory: Directory,
    room: Room,
    log: Log,
    steadyNow: () => number,
    adopt: (names: readonly string[]) => string[],
  ) {
    this.#directory = directory
    this.#room = room
    this.#log = log
    this.#steadyNow = steadyNow
    this.#adopt = adopt
  }

  /** Why nothing can be kept, if so. */
  get reason(): string | undefined {
    return this.#reason
  }

  /** False for a while after a failure. */
  get mayTry(): boolean {
    return this.#reason === undefined || this.#steadyNow() >= this.#tryAgainAt
  }

  /**
   * Claims the directory, at first and again after each failure: it may have been removed, or mounted. Resolves to
   * whether it can be written.
   * @throws {DirectoryRefused} the first time only, when it must not be used at all.
   */
  async claim(): Promise<boolean> {
    try {
      const { names, problem } = await this.#directory.claim()
      this.#directory.warnOfStrangers(this.#adopt(names))
      if (problem === undefined) this.#isClaimed = true
      else this.#fail(problem)
    } catch (error) {
      if (error instanceof DirectoryRefused && this.#reason === undefined) throw error
      this.#fail(error)
    }
    return this.#isClaimed
  }

  /** Resolves to whether it is worth trying, after claiming the directory again if need be. */
  async prepare(): Promise<boolean> {
    if (this.#isClaimed) return true
    if (!this.mayTry) return false
    this.#preparing ??= this.claim().finally(() => (this.#preparing = undefined))
    return await this.#preparing
  }

  onWritten(): void {
    if (this.#reason === undefined) return
    this.#reason = undefined
    this.#log.info({ dir: this.#directory.dir }, 'The larder can be written again')
  }

  /**
   * A file of this size could not be written to its end; its remains are gone. A cause in words only is looked into.
   */
  async onUnwritten(fileSize: number, cause: unknown): Promise<void> {
    const problem = typeof cause === 'string' ? ((await this.#probe(fileSize)) ?? cause) : cause
    if (isDiskFull(problem) && (await this.#room.free(fileSize))) {
      this.#log.info(
        { dir: this.#directory.dir, bytes: fileSize },
        'The disk is full: the least recently used files were removed from the larder',
      )
      return
    }
    this.#fail(problem)
  }

  #fail(problem: unknown): void {
    const isNews = this.#reason === undefined
    this.#reason = typeof problem === 'string' ? problem : (problem as Error).message
    this.#isClaimed = false
    this.#tryAgainAt = this.#steadyNow() + setbackMs
    const message = 'Cannot keep compressed NARs: until the larder can be written, they are compressed for each request'
    this.#log[isNews ? 'warn' : 'debug']({ dir: this.#directory.dir, err: problem }, message)
  }

  /** Finds out what is wrong by writing a little. */
  async #probe(fileSize: number): Promise<Error | undefined> {
    const path = this.#directory.newTempPath()
    try {
      await using handle = await open(path, 'wx', 0o600)
      await handle.writeFile(Buffer.alloc(probeBytes, 1))
      await handle.sync()
      const { bavail, bsize } = await statfs(this.#directory.dir)
      if (bavail * bsize >= fileSize) return undefined
      return Object.assign(new Error(`ENOSPC: the disk has ${bavail * bsize} bytes left, and ${fileSize} are needed`), {
        code: 'ENOSPC',
      })
    } catch (error) {
      return error as Error
    } finally {
      await unlink(path).catch(() => {})
    }
  }
}
