/**
 * Writes compressed bytes to a temporary file of the larder and hashes them. Others read the file while it grows. If it
 * cannot be written (disk full, I/O error), it is removed, and the compression continues to compute hash and size.
 * Writes and fsyncs run in libuv's thread pool, so a slow disk delays only this job.
 */
import { close, fdatasync, fsync, openSync, unlink, writev } from 'node:fs'

import { Fault } from '../faults.ts'
import type { CompressedSink } from './compress-job.ts'
import { CompressedDigest } from './compressed-digest.ts'
import type { DiskQueue } from './disk-queue.ts'
import { errnoOf } from './file-faults.ts'
import type { Outbox } from './outbox.ts'

/** Bytes queued for the disk. Above this, the compression pauses. */
const queueBytes = 1024 * 1024
/**
 * Flush to disk after this many bytes during the compression, so that the final fsync, which the last reader waits for,
 * has little left to do.
 */
const flushBytes = 16 * 1024 * 1024

export class FileSink implements CompressedSink {
  readonly #job: number
  readonly #path: string
  readonly #outbox: Outbox
  readonly #disk: DiskQueue
  readonly #wake: () => void
  readonly #digest = new CompressedDigest()
  #fd: number | undefined
  #unwritable: string | undefined
  #queue: Buffer[] = []
  #queued = 0
  #isBusy = false
  #isFlushing = false
  #flushed = 0
  #isDiscarded = false
  #written = 0
  /** Runs when the disk has finished everything that is queued. */
  #whenIdle: (() => void) | undefined

  constructor(job: number, path: string, outbox: Outbox, disk: DiskQueue, wake: () => void) {
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
    this.#digest.add(bytes)
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
    const unwritable = this.#unwritable
    const result = {
      ...this.#digest.end(),
      wasWritten: unwritable === undefined,
      ...(unwritable !== undefined && { unwritable }),
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
