/**
 * Compressed bytes into a temporary file of the larder, hashed on the way. Others read the file while it grows. When it cannot be written (full disk, I/O error) it
 * is removed, and the compression goes on to learn hash and size. Writes and fsync run in libuv's pool: a slow disk holds up this one job only.
 */
import { createHash } from 'node:crypto'
import { close, fsync, openSync, unlink, writev } from 'node:fs'
import { Fault } from '../faults.ts'
import { encodeNix32 } from '../nix/nix32.ts'
import type { CompressedSink } from './compress-job.ts'
import { errnoOf } from './file-faults.ts'
import type { Outbox } from './outbox.ts'

/** Bytes that wait for the disk; more of them stop the compression. */
const queueBytes = 1024 * 1024
/** A compressed NAR up to so large is handed over with the result. */
const smallBytes = 64 * 1024

export class FileSink implements CompressedSink {
  readonly #job: number
  readonly #path: string
  readonly #outbox: Outbox
  readonly #wake: () => void
  readonly #hash = createHash('sha256')
  #fd: number | undefined
  #unwritable: string | undefined
  #queue: Buffer[] = []
  #queued = 0
  #isBusy = false
  #isDiscarded = false
  #size = 0
  #written = 0
  #small: Buffer[] | undefined = []
  /** What to do when the disk is done with what is queued. */
  #whenIdle: (() => void) | undefined

  constructor(job: number, path: string, outbox: Outbox, wake: () => void) {
    this.#job = job
    this.#path = path
    this.#outbox = outbox
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
      const then = this.#whenIdle
      this.#whenIdle = undefined
      then?.()
      return
    }
    const batch = this.#queue
    this.#queue = []
    this.#isBusy = true
    writev(this.#fd, batch, this.#written, (error, count) => {
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
    this.#pump()
    if (wasFull && !this.isFull) this.#wake()
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
    fsync(fd, (error) => {
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
