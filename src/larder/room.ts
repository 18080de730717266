/**
 * Room on the disk. The files kept and those under way never take more than `maxBytes`, nor what the disk has left:
 * room is made before a compression begins, by an estimate, and further as it grows. What cannot be given room is not
 * kept.
 */
import { statfs } from 'node:fs/promises'

import type { OpenFiles } from '../disk/open-files.ts'
import type { Log } from '../log.ts'
import type { Directory } from './directory.ts'
import { toDiskBytes } from './file-name.ts'
import type { KeptFile, Shelf } from './shelf.ts'

/** A larder that grows into a disk shared with others leaves them this much. */
const maxSpareBytes = 64 * 1024 * 1024
const spareShare = 0.01
/** By how much a reservation that proved too small is raised at once. */
const stepBytes = 8 * 1024 * 1024
/** Ten thousand small files may have to go for a large one. */
const removalsAtOnce = 16

interface Reservation {
  writtenBytes: number
  reservedBytes: number
}

export class Room {
  readonly maxBytes: number
  readonly #shelf: Shelf
  readonly #directory: Directory
  readonly #files: OpenFiles
  readonly #log: Log
  readonly #reservations = new Map<object, Reservation>()
  readonly #removals = new Set<Promise<void>>()
  readonly #onEvicted: (file: KeptFile) => void
  /** Resolves when the order of use is known; undefined when it is. */
  #arranging: Promise<void> | undefined
  #shortage: string | undefined
  #evictions = 0

  constructor(
    maxBytes: number,
    shelf: Shelf,
    directory: Directory,
    files: OpenFiles,
    log: Log,
    onEvicted: (file: KeptFile) => void,
  ) {
    this.maxBytes = maxBytes
    this.#shelf = shelf
    this.#directory = directory
    this.#files = files
    this.#log = log
    this.#onEvicted = onEvicted
  }

  /** Files evicted since the start. */
  get evictions(): number {
    return this.#evictions
  }

  /** Nothing is evicted before the order of use is known. */
  awaitOrder(arranged: Promise<void>): void {
    this.#arranging = arranged.finally(() => (this.#arranging = undefined))
  }

  /** Disk space of all files, kept and under way. */
  get bytes(): number {
    return this.#shelf.bytes + this.#sum('writtenBytes')
  }

  /** Makes room for a file of about this size; false when there is not enough that may be evicted. */
  async reserve(holder: object, size: number): Promise<boolean> {
    const bytes = toDiskBytes(size)
    if (bytes > this.maxBytes) return false
    const limit = await this.#currentLimit()
    if (this.#shelf.pinnedBytes + this.#sum('reservedBytes') + bytes > limit) return this.#refuse(bytes, limit)
    this.#reservations.set(holder, { writtenBytes: 0, reservedBytes: bytes })
    await this.#shrinkTo(limit)
    if (this.#shelf.bytes + this.#sum('reservedBytes') <= limit) {
      this.#shortage = undefined
      return true
    }
    this.giveBack(holder)
    return this.#refuse(bytes, limit)
  }

  #refuse(bytes: number, limit: number): false {
    if (limit < this.maxBytes) this.#shortage = `ENOSPC: the disk has no room for another ${bytes} bytes`
    return false
  }

  /** Why the last file was refused, if it was the disk's fault. */
  get shortage(): string | undefined {
    return this.#shortage
  }

  /** The file has grown to this size; false when it must not grow further. Evicts ahead of it in the background. */
  grow(holder: object, size: number): boolean {
    const reservation = this.#reservations.get(holder)
    if (reservation === undefined) return false
    reservation.writtenBytes = toDiskBytes(size)
    if (reservation.writtenBytes > reservation.reservedBytes) {
      reservation.reservedBytes = reservation.writtenBytes + toDiskBytes(Math.min(stepBytes, this.maxBytes / 16))
      void this.#shrinkTo(this.maxBytes)
    }
    return this.#shelf.pinnedBytes + this.#sum('writtenBytes') <= this.maxBytes
  }

  /** The file is gone, or on the shelf. */
  giveBack(holder: object): void {
    this.#reservations.delete(holder)
  }

  /**
   * Evicts what was least recently used until so much was freed; false, and nothing evicted, when that much cannot be.
   */
  async free(size: number): Promise<boolean> {
    const bytes = toDiskBytes(size)
    if (this.#shelf.bytes - this.#shelf.pinnedBytes < bytes) return false
    await this.#shrinkTo(this.#shelf.bytes + this.#sum('reservedBytes') - bytes)
    return true
  }

  /** Evicts down to `maxBytes`: the limit may have been lowered since the last run. */
  async shrink(): Promise<void> {
    await this.#shrinkTo(this.maxBytes)
  }

  /** Waits for removals under way. */
  async settle(): Promise<void> {
    await Promise.all(this.#removals)
  }

  async #shrinkTo(limit: number): Promise<void> {
    if (this.#arranging !== undefined && this.#shelf.bytes + this.#sum('reservedBytes') > limit) await this.#arranging
    while (this.#shelf.bytes + this.#sum('reservedBytes') > limit) {
      const victim = this.#shelf.findVictim()
      if (victim === undefined) break
      this.#evict(victim)
      if (this.#removals.size >= removalsAtOnce) await this.settle()
    }
    await this.settle()
  }

  #evict(file: KeptFile): void {
    this.#shelf.remove(file)
    this.#files.forget(file.name)
    this.#evictions++
    this.#onEvicted(file)
    const removal = this.#directory
      .remove(file.name)
      .catch((error: unknown) =>
        this.#log.warn(
          { file: file.name, err: error },
          'Cannot evict a file from the larder: it uses more room than is counted',
        ),
      )
      // Only then is its space free.
      .then(() => this.#files.untilClosed())
      .then(() => void this.#removals.delete(removal))
    this.#removals.add(removal)
  }

  async #currentLimit(): Promise<number> {
    try {
      const { bavail, blocks, bsize } = await statfs(this.#directory.dir)
      const spare = Math.min(maxSpareBytes, blocks * bsize * spareShare)
      return Math.min(this.maxBytes, this.bytes + bavail * bsize - spare)
    } catch {
      // Whatever is wrong with the directory, writing to it will say so.
      return this.maxBytes
    }
  }

  #sum(field: keyof Reservation): number {
    let sum = 0
    for (const reservation of this.#reservations.values()) sum += reservation[field]
    return sum
  }
}
