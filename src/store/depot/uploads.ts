/**
 * NARs on their way into the depot, whole: from stock Nix, from the local store, from an upstream. Quota and room first,
 * then the body, then the shelf. Batches: `batch-uploads.ts`.
 */
import { join } from 'node:path'

import type { Disk } from '../../disk/disk.ts'
import { Semaphore } from '../../nar/semaphore.ts'
import type { Compression } from '../../nix/nar-info.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { dayOf } from './day.ts'
import type { DecoderOptions } from './decoder.ts'
import type { WriterHost } from './host.ts'
import { type Expected, receiveFile } from './incoming.ts'
import type { NarShelf } from './nar-shelf.ts'
import type { Room } from './room.ts'
import type { NarFile, Records } from './sqlite/records.ts'
import { type DepotPolicy, type NarReceived, type Pusher, type Refusal, Refused, refuse } from './types.ts'

export interface ReceiveNar {
  /** `sha256:<52 Nix32>` as the name in the URL says. */
  readonly fileHash: string
  readonly fileSize: number
  readonly compression: Compression
  readonly who: Pusher
}

/** A NAR whose hash is known beforehand, and whose file's is not: from an upstream. */
export interface FetchNar {
  readonly narHash: string
  readonly narSize: number
  readonly compression: Compression
  readonly who: Pusher
}

export interface UploadParts {
  readonly dir: string
  readonly disk: Disk
  readonly policy: DepotPolicy
  readonly records: Records
  readonly shelf: NarShelf
  readonly room: Room
  readonly host: WriterHost
  readonly now: () => number
  readonly random: () => string
  readonly decoding: DecoderOptions
}

type KnownFile = NarFile & { readonly compression: Compression }

/**
 * Bodies checked at once; the others are read when one of these ends. Each may have a decompressor's window of 128 MiB.
 */
const bodiesAtOnce = 12

export class Uploads {
  readonly #parts: UploadParts
  readonly #bodies = new Semaphore(bodiesAtOnce)

  constructor(parts: UploadParts) {
    this.#parts = parts
  }

  async receive(
    { fileHash, fileSize, compression, who }: ReceiveNar,
    body: AsyncIterable<Uint8Array>,
  ): Promise<NarReceived> {
    const { records, now } = this.#parts
    const claim = records.findClaim(fileHash)
    const nar = claim && records.findNar(claim.narHash)
    if (nar !== undefined && !nar.isDamaged) {
      await records.transaction(() => records.addLoose({ ...nar, ...claim!, fileHash }, who.user, now()))
      return { status: 'known', narHash: nar.narHash, narSize: nar.narSize }
    }
    this.checkQuota(who.user, fileSize)
    return await this.#receive(compression, { fileHash, fileSize }, who, body, fileSize, true)
  }

  /** Counts towards no user's quota: the cache itself asked for it. */
  async fetch({ narHash, narSize, compression, who }: FetchNar, body: AsyncIterable<Uint8Array>): Promise<NarReceived> {
    const { records, now } = this.#parts
    const nar = records.findNar(narHash)
    if (nar !== undefined && !nar.isDamaged) {
      await records.transaction(() => records.addLoose(nar, who.user, now()))
      return { status: 'known', narHash, narSize }
    }
    return await this.#receive(compression, { narHash, narSize }, who, body, narSize, false)
  }

  async adopt({ storePath, narHash, narSize }: PathInfo, who: Pusher): Promise<NarReceived> {
    const local = await this.#parts.host.openLocal(storePath)
    if (local === undefined) return refuse('missing-nar', `${storePath} is gone from this cache's own machine`)
    return await this.fetch({ narHash, narSize, compression: local.compression, who }, local.body)
  }

  /** @throws {Refused} quota */
  checkQuota(user: string, fileSize: number): void {
    const { policy, records, now } = this.#parts
    const usedToday = records.usedToday(user, dayOf(now()))
    const refusal = judgeQuota(policy, user, fileSize, usedToday, () => records.unfinishedBytes(user))
    if (refusal !== undefined) throw new Refused(refusal.code, refusal.reason)
  }

  /** Puts a checked file on the shelf under a claim of this user. Resolves to whether the file was taken. */
  async shelve(
    file: KnownFile,
    localFile: string,
    who: Pusher,
    alsoWrite = () => {},
    isCounted = true,
  ): Promise<boolean> {
    const { shelf, records } = this.#parts
    const now = this.#parts.now()
    const [isTaken] = await shelf.put(
      [
        {
          file,
          localFile,
          alsoWrite(taken) {
            alsoWrite()
            records.addLoose(file, who.user, now)
            if (taken && isCounted) records.addUsage(who.user, dayOf(now), file.fileSize)
          },
        },
      ],
      now,
    )
    return isTaken!
  }

  async #receive(
    compression: Compression,
    expected: Expected,
    who: Pusher,
    body: AsyncIterable<Uint8Array>,
    mostBytes: number,
    isCounted: boolean,
  ): Promise<NarReceived> {
    const { dir, disk, random, policy, room, decoding } = this.#parts
    const giveBack = await room.reserve(mostBytes)
    const temp = join(dir, 'in', random())
    try {
      const options = { ...decoding, disk, maxNarBytes: policy.maxNarBytes }
      const file = await this.#bodies.run(() => receiveFile(body, compression, expected, temp, options))
      return await this.#keep(file, temp, who, isCounted)
    } finally {
      giveBack()
    }
  }

  async #keep(file: KnownFile, temp: string, who: Pusher, isCounted: boolean): Promise<NarReceived> {
    const { disk } = this.#parts
    let isTaken = false
    try {
      isTaken = await this.shelve(file, temp, who, undefined, isCounted)
    } finally {
      if (!isTaken) await disk.unlink(temp).catch(() => {})
    }
    return { status: isTaken ? 'stored' : 'known', narHash: file.narHash, narSize: file.narSize }
  }
}

/** The same rule for the headers of an upload and for its body. */
export function judgeQuota(
  policy: DepotPolicy,
  user: string,
  fileSize: number,
  usedToday: number,
  unfinishedBytes: () => number,
): Refusal | undefined {
  const { bytesPerDayPerUser, unfinishedBytesPerUser } = policy
  if (usedToday + fileSize > bytesPerDayPerUser) {
    return refuse(
      'quota',
      `User ${user} has pushed ${usedToday} bytes today, of ${bytesPerDayPerUser} allowed. Try again tomorrow`,
    )
  }
  const unfinished = unfinishedBytes()
  if (unfinished + fileSize <= unfinishedBytesPerUser) return undefined
  return refuse(
    'quota',
    `User ${user} has ${unfinished} bytes of unfinished uploads, of ${unfinishedBytesPerUser} allowed. Finish these first`,
  )
}
