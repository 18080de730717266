/**
 * Batches of small NARs on their way into the depot. What costs time is flushing, so the NARs of a batch share it: all
 * files are written and flushed, several at once; then all are renamed; then each folder is flushed once; then all rows
 * are written in one transaction. A NAR is acknowledged when its row is on disk.
 */
import { join } from 'node:path'

import { Semaphore } from '../../nar/semaphore.ts'
import { type BatchEntry, checkEntry, receiveBatch } from './batch.ts'
import { dayOf } from './day.ts'
import type { NewNar } from './nar-shelf.ts'
import type { NarReceived, Pusher, Refusal } from './types.ts'
import type { UploadParts } from './uploads.ts'

export interface PutBatch {
  readonly bodyBytes: number
  /** SHA-256 of the body, base64. */
  readonly digest: string
  readonly who: Pusher
}

/** Batches are held in memory. */
const batchesAtOnce = 3
/** Files of all batches that are open at once. */
const filesAtOnce = 16
/** NARs in one transaction: the other transactions wait for it, some ten milliseconds. */
const narsATransaction = 512

type WrittenNar = Pick<NewNar, 'file' | 'localFile'> & { readonly status: 'written' }
type Guard = <T>(work: () => Promise<T>) => Promise<T | Refusal>

export class BatchUploads {
  readonly #parts: UploadParts
  readonly #checkQuota: (user: string, bytes: number) => void
  readonly #batches = new Semaphore(batchesAtOnce)
  readonly #writes = new Semaphore(filesAtOnce)

  constructor(parts: UploadParts, checkQuota: (user: string, bytes: number) => void) {
    this.#parts = parts
    this.#checkQuota = checkQuota
  }

  /**
   * A reply for each entry, in their order. `guard` turns what is thrown for an entry into a value: one wrong entry does
   * not make the others fail.
   */
  receive({ bodyBytes, digest, who }: PutBatch, body: AsyncIterable<Uint8Array>, guard: Guard): Promise<NarReceived[]> {
    return this.#batches.run(async () => {
      this.#checkQuota(who.user, bodyBytes)
      const giveBack = await this.#parts.room.reserve(bodyBytes)
      try {
        const entries = await receiveBatch(body, bodyBytes, digest)
        const replies = await this.#store(new Map(entries.map((entry) => [entry.narHash, entry])), who, guard)
        return entries.map(({ narHash }) => replies.get(narHash)!)
      } finally {
        giveBack()
      }
    })
  }

  async #store(
    entries: ReadonlyMap<string, BatchEntry>,
    who: Pusher,
    guard: Guard,
  ): Promise<ReadonlyMap<string, NarReceived>> {
    const replies = new Map<string, NarReceived>()
    const written: WrittenNar[] = []
    await Promise.all(
      [...entries.values()].map(async (entry) => {
        const result = await guard(() => this.#writes.run(() => this.#write(entry)))
        if (result.status === 'written') written.push(result)
        else replies.set(entry.narHash, result)
      }),
    )
    for (let start = 0; start < written.length; start += narsATransaction) {
      const some = written.slice(start, start + narsATransaction)
      const stored = await guard(() => this.#keep(some, who))
      for (const [at, { file }] of some.entries()) {
        const { narHash, narSize } = file
        const reply = Array.isArray(stored) ? { status: stored[at] ? 'stored' : 'known', narHash, narSize } : stored
        replies.set(narHash, reply as NarReceived)
      }
    }
    return replies
  }

  /** The file is flushed when this resolves and gone when it rejects. */
  async #write(entry: BatchEntry): Promise<WrittenNar | NarReceived> {
    const { dir, disk, random, records } = this.#parts
    const { narHash, narSize } = entry
    if (records.findNar(narHash)?.isDamaged === false) return { status: 'known', narHash, narSize }
    const file = checkEntry(entry)
    const localFile = join(dir, 'in', random())
    try {
      const handle = await disk.create(localFile, 0o444)
      try {
        await handle.write(entry.frame)
        await handle.sync()
      } finally {
        await handle.close()
      }
    } catch (error) {
      await disk.unlink(localFile).catch(() => {})
      throw error
    }
    return { status: 'written', file, localFile }
  }

  /** Whether each was taken. Files that were not are removed. */
  async #keep(nars: readonly WrittenNar[], who: Pusher): Promise<readonly boolean[]> {
    const { disk, shelf, records } = this.#parts
    const now = this.#parts.now()
    let isTaken: readonly boolean[] = []
    try {
      isTaken = await shelf.put(
        nars.map(({ file, localFile }) => ({
          file,
          localFile,
          alsoWrite(taken) {
            records.addLoose(file, who.user, now)
            if (taken) records.addUsage(who.user, dayOf(now), file.fileSize)
          },
        })),
        now,
      )
      return isTaken
    } finally {
      await Promise.all(nars.map(({ localFile }, at) => isTaken[at] || disk.unlink(localFile).catch(() => {})))
    }
  }
}
