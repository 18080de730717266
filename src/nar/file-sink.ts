/**
 * Writes compressed bytes to a temporary file of the larder and hashes them. Others read the file while it grows. If it
 * cannot be written (disk full, I/O error), it is removed, and the compression continues to compute hash and size.
 * Writes and fsyncs run in libuv's thread pool, so a slow disk delays only this job.
 */
import { createHash } from 'node:crypto'
import { close, fdatasync, fsync, openSync, unlink, writev } from 'node:fs'
import { Fault } from '../faults.ts'
import { formatSha256 } from '../nix/hash.ts'
import type { CompressedSink } from './compress-job.ts'
import { errnoOf } from './file-faults.ts'
import type { Outbox } from './outbox.ts'
import { Semaphore } from './semaphore.ts'

/** Bytes queued for the disk. Above this, the compression pauses. */
const queueBytes = 1024 * 1024
/**
 * Flush to disk after this many bytes during the compression, so that the final fsync, which the last reader waits for,
 * has little left to do.
 */
const flushBytes = 16 * 1024 * 1024
/** A compressed NAR up to this size is returned with the result. */
const smallBytes = 64 * 1024

/**
 * Serializes the writes and fsyncs of all fills: one of each at a time. Otherwise a slow disk would occupy all threads
 * of libuv's pool and block reads of existing files.
 */
export interface Disk {
  readonly writes: Semaphore
  readonly syncs: Semaphore
}

export function createDisk(): Disk {
  return { writes: new Semaphore(1), syncs: new Semaphore(1) }
}

export class FileSink implements CompressedSink {
  readonly #job: number
  readonly #path: string
  readonly #outbox: Outbox
  readonly #disk: Disk
  readonly #wake: () => void
  readonly #hash = createHash('sha256')
  #fd: number | undefined
  #unwritable: string | undefined
  #queue: Buffer[] = []
  #queued = 0
  #isBusy = false
  #isFlushing = false
  #flushed = 0
  #isDiscarded = false
  #size = 0
  #written = 0
  #small: Buffer[] | undefined = []
  /** Runs when the disk has finished everything that is queued. */
  #whenIdle: (() => void) | undefined

  constructor(job: number, path: string, outbox: Outbox, disk: Disk, wake: () => void) {
    this.#job = job
    this.#path = path
    this.#outbox = outbox
    this.#disk = disk
    this.#wake = wake
    try {
      this.#fd = openSync(path, 'wx', 0o600)
    } catch (error) {
      this.#unwritable = `Cannot create "${path}": ${errnoOf(error)}`
    }
  }

  get isFull(): boolean {
    return this.#queued > queueBytes
  }

  drain(): boolean {
    return false
  }

  write(bytes: Buffer): void {
    this.#hash.update(bytes)
    this.#size += bytes.length
    if (this.#size <= smallBytes) this.#small?.push(bytes)
    else this.#small = undefined
    if (this.#fd === undefined) return
    this.#queue.push(bytes)
    this.#queued += bytes.length
    this.#pump()
  }

  finish(over: () => void): void {
    this.#whenIdle = () => this.#sync(over)
    this.#pump()
  }

  discard(fault: unknown, over: () => void): void {
    this.#queue = []
    this.#queued = 0
    this.#isDiscarded = true
    this.#whenIdle = () => {
      this.#remove(() => {
        this.#outbox.addFault(this.#job, fault ?? new Fault('abandoned', 'The compression was aborted'))
        over()
      })
    }
    this.#pump()
  }

  /** Writes what is queued. If the queue is empty and the disk is idle, runs the pending callback once. */
  #pump(): void {
    if (this.#isBusy) return
    if (this.#fd === undefined || this.#queue.length === 0) {
      if (this.#isFlushing) return
      const then = this.#whenIdle
      this.#whenIdle = undefined
      then?.()
      return
    }
    this.#isBusy = true
    this.#disk.writes.request(() => this.#writeQueue(this.#fd!))
  }

  #writeQueue(fd: number): void {
    const batch = this.#queue
    this.#queue = []
    if (batch.length === 0) {
      // Discarded while it was waiting.
      this.#disk.writes.release()
      this.#isBusy = false
      this.#pump()
      return
    }
    writev(fd, batch, this.#written, (error, count) => {
      this.#disk.writes.release()
      this.#isBusy = false
      if (this.#isDiscarded) this.#pump()
      else if (error) this.#giveUp(`Cannot write "${this.#path}": ${errnoOf(error)}`)
      else this.#advance(batch, count)
    })
  }

  #advance(batch: readonly Buffer[], count: number): void {
    const wasFull = this.isFull
    this.#written += count
    this.#queued -= count
    this.#outbox.add({ kind: 'progress', job: this.#job, written: this.#written })
    // A nearly full disk writes only a part; writing the rest returns the error.
    const rest = batch.reduce((sum, bytes) => sum + bytes.length, 0) - count
    if (rest > 0) this.#queue.unshift(Buffer.concat(batch).subarray(-rest))
    this.#flush()
    this.#pump()
    if (wasFull && !this.isFull) this.#wake()
  }

  /**
   * Runs in parallel with writes. The kernel reports a disk error only once: if it were ignored here, the final fsync
   * would not report it.
   */
  #flush(): void {
    const fd = this.#fd
    if (fd === undefined || this.#isFlushing || this.#written - this.#flushed < flushBytes) return
    this.#isFlushing = true
    this.#flushed = this.#written
    this.#disk.syncs.request(() => {
      fdatasync(fd, (error) => {
        this.#disk.syncs.release()
        this.#isFlushing = false
        if (error && this.#fd === fd && !this.#isDiscarded)
          this.#giveUp(`Cannot sync "${this.#path}": ${errnoOf(error)}`)
        else this.#pump()
      })
    })
  }

  #giveUp(reason: string): void {
    this.#unwritable = reason
    this.#queue = []
    this.#queued = 0
    this.#remove(() => this.#pump())
    this.#wake()
  }

  #sync(over: () => void): void {
    const fd = this.#fd
    if (fd === undefined) {
      this.#report(over)
      return
    }
    this.#isBusy = true
    this.#disk.syncs.request(() => this.#syncFile(fd, over))
  }

  #syncFile(fd: number, over: () => void): void {
    fsync(fd, (error) => {
      this.#disk.syncs.release()
      this.#isBusy = false
      if (this.#isDiscarded) {
        this.#pump()
      } else if (error) {
        this.#unwritable = `Cannot sync "${this.#path}": ${errnoOf(error)}`
        this.#remove(() => this.#report(over))
      } else {
        this.#fd = undefined
        close(fd, () => this.#report(over))
      }
    })
  }

  #report(over: () => void): void {
    const fileHash = formatSha256(this.#hash.digest())
    const result = {
      fileHash,
      fileSize: this.#size,
      wasWritten: this.#unwritable === undefined,
      ...(this.#unwritable !== undefined && { unwritable: this.#unwritable }),
      ...(this.#small && { bytes: new Uint8Array(Buffer.concat(this.#small)) }),
    }
    this.#outbox.add({ kind: 'filled', job: this.#job, result })
    over()
  }

  /** Closes and removes the file if this sink created it. */
  #remove(then: () => void): void {
    const fd = this.#fd
    this.#fd = undefined
    if (fd === undefined) then()
    else unlink(this.#path, () => close(fd, then))
  }
}
