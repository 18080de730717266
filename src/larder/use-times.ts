/**
 * When kept files were used last. In memory exactly, on the shelf; on disk by the files' own times, from which the next
 * run learns the order.
 */
import { type Stats, stat } from 'node:fs'
import { utimes } from 'node:fs/promises'

import { neverRead } from '../disk/file-stamp.ts'
import type { OpenFile } from '../disk/open-files.ts'
import type { Directory } from './directory.ts'
import type { Proofs } from './proofs.ts'
import type { KeptFile, Shelf } from './shelf.ts'
import { isSmall } from './small-nars.ts'

/**
 * The order of use within a run is exact; for the next run the hour is good enough, and spares the disk a write for
 * each request.
 */
const markEveryMs = 3_600_000
const touchEveryMs = 1000
/** File system calls share a few threads with everything else: gathering ages must not fill them. */
const statsAtOnce = 2

export class UseTimes {
  readonly #shelf: Shelf
  readonly #directory: Directory
  readonly #proofs: Proofs
  readonly #now: () => number
  readonly #drop: (kept: KeptFile, cause: unknown) => void
  readonly #marking = new Set<Promise<void>>()
  #isStopped = false

  /** `drop` takes a file out of service that is missing or has another length. */
  constructor(
    shelf: Shelf,
    directory: Directory,
    proofs: Proofs,
    now: () => number,
    drop: (kept: KeptFile, cause: unknown) => void,
  ) {
    this.#shelf = shelf
    this.#directory = directory
    this.#proofs = proofs
    this.#now = now
    this.#drop = drop
  }

  /**
   * Learns from the files' times in which order they were used, in the background, and that they are as long as they
   * say.
   */
  async gather(): Promise<void> {
    const files = [...this.#shelf]
    const gather = async () => {
      for (let file = files.pop(); file !== undefined && !this.#isStopped; file = files.pop())
        await this.#gatherAge(file)
    }
    await Promise.all(Array.from({ length: statsAtOnce }, gather))
    this.#shelf.arrange()
  }

  note(kept: KeptFile): void {
    const now = this.#now()
    if (now - kept.usedAt >= touchEveryMs) this.#shelf.touch(kept, now)
    if (!isSmall(kept) || !this.#takeMark(kept, now)) return
    const marking = utimes(this.#directory.pathOf(kept.name), now / 1000, now / 1000)
      .catch(() => {})
      .then(() => void this.#marking.delete(marking))
    this.#marking.add(marking)
  }

  /** Our own change of the time must not look like a change of the file. */
  markOpen(kept: KeptFile, file: OpenFile): void {
    const now = this.#now()
    const { proof } = kept
    if (!this.#takeMark(kept, now)) return
    const isProven = this.#proofs.holds(kept, file)
    try {
      file.markUsed(now)
    } catch {
      // A file of another user's, or a disk that can only be read.
    }
    if (proof !== undefined && isProven) kept.proof = { stamp: file.stamp(), readAtMs: neverRead }
  }

  /** Writes no more times, and ends `gather`. */
  stop(): void {
    this.#isStopped = true
  }

  /** Waits for the writes under way. */
  async settle(): Promise<void> {
    await Promise.all(this.#marking)
  }

  /**
   * By callback: for a hundred thousand files promises of the file system would take seconds of the thread that answers
   * requests.
   */
  #gatherAge(kept: KeptFile): Promise<void> {
    return new Promise((resolve) => {
      stat(this.#directory.pathOf(kept.name), (error, found) => {
        if (error === null) this.#learnAge(kept, found)
        else if (error.code === 'ENOENT') this.#drop(kept, error)
        resolve()
      })
    })
  }

  #learnAge(kept: KeptFile, found: Stats): void {
    if (found.isFile() && found.size === kept.fileSize) kept.markedAt = Math.max(kept.markedAt, found.mtimeMs)
    else this.#drop(kept, new Error(`It has ${found.size} bytes`))
  }

  /** True when it is time for the file's own time to be renewed. */
  #takeMark(kept: KeptFile, now: number): boolean {
    if (now - kept.markedAt < markEveryMs || this.#isStopped) return false
    kept.markedAt = now
    return true
  }
}
