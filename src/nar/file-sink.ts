/**
 * Compressed bytes into a temporary file of the larder, hashed on the way. Others read the file while it grows. When it cannot be written (full disk, I/O error) it
 * is removed, and the compression goes on to learn hash and size. Writes and fsync run in libuv's pool: a slow disk holds up this one job only.
 */
import { createHash } from 'node:crypto'
import { close, fdatasync, fsync, openSync, unlink, writev } from 'node:fs'
import { Fault } from '../faults.ts'
import { encodeNix32 } from '../nix/nix32.ts'
import type { CompressedSink } from './compress-job.ts'
import { errnoOf } from './file-faults.ts'
import type { Outbox } from './outbox.ts'
import { Semaphore } from './semaphore.ts'

/** Bytes that wait for the disk; more of them stop the compression. */
const queueBytes = 1024 * 1024
/** So much is sent on to the disk at a time while the compression goes on: the fsync at the end, which the last reader waits for, finds little left to do. */
const flushBytes = 16 * 1024 * 1024
/** A compressed NAR up to so large is handed over with the result. */
const smallBytes = 64 * 1024

/**
 * Writes and fsyncs of all fills: one of each at a time. A slow disk would otherwise take every thread of libuv's pool, and with them the reading of
 * files that were compressed long ago.
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
  /** What to do when the disk is done with what is queued. */
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
        this.#outbox.addFault(this.#job, fault ?? new Fault('abandoned', 'The compression was given up'))
        over()
      })
    }
    this.#pump()
  }

  /** Writes what is queued; when nothing is, and the disk is not at work, does what is to be done then, once. */
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
      // Discarded while it waited.
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
    // A disk that is nearly full takes a part; the rest tells why.
    const rest = batch.reduce((sum, bytes) => sum + bytes.length, 0) - count
    if (rest > 0) this.#queue.unshift(Buffer.concat(batch).subarray(-rest))
    this.#flush()
    this.#pump()
    if (wasFull && !this.isFull) this.#wake()
  }

  /** Beside the writing. The system tells an error of the disk once: not to heed it here would be not to hear of it at the end. */
  #flush(): void {
    const fd = this.#fd
    if (fd === undefined || this.#isFlushing || this.#written - this.#flushed < flushBytes) return
    this.#isFlushing = true
    this.#flushed = this.#written
    this.#disk.syncs.request(() => {
      fdatasync(fd, (error) => {
        this.#disk.syncs.release()
        this.#isFlushing = false
        if (error && this.#fd === fd && !this.#isDiscarded) this.#giveUp(`Cannot sync "${this.#path}": ${errnoOf(error)}`)
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
    const fileHash = `sha256:${encodeNix32(this.#hash.digest())}`
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

  /** Closes and removes the file, if it was made here. */
  #remove(then: () => void): void {
    const fd = this.#fd
    this.#fd = undefined
    if (fd === undefined) then()
    else unlink(this.#path, () => close(fd, then))
  }
}
