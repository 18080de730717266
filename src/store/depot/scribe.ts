/**
 * The depot's writer: everything that touches its files or changes its database happens here, in one thread of its own. Each public call takes one argument that can
 * be cloned (and a body, if it receives one), and resolves when its result survives kill -9 and a power cut. Refusals are values; see `guard`.
 */
import { join } from 'node:path'

import { type Disk, systemDisk } from '../../disk/disk.ts'
import type { Compression } from '../../nix/nar-info.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { Acceptance, type Commit } from './acceptance.ts'
import { Backups } from './backups.ts'
import { LocalFiles, narKey } from './depot-files.ts'
import type { ScribeHost } from './host.ts'
import { receiveFile } from './incoming.ts'
import { Semaphore } from './mutex.ts'
import { NarShelf, NarVanished } from './nar-shelf.ts'
import { type PinRequest, setPin } from './pins.ts'
import { prepareDirectories, type RecoveryReport, recover } from './recovery.ts'
import { rereadContent } from './reread.ts'
import { Reserve } from './reserve.ts'
import { type GcOptions, type GcReport, Retention } from './retention.ts'
import { Room } from './room.ts'
import { Records } from './sqlite/records.ts'
import { isDatabaseFull, WritingDatabase } from './sqlite/writing-database.ts'
import { type DepotPolicy, type NarReceived, type Pusher, type Refusal, Refused, type Registered, type RoomFigures, refuse } from './types.ts'
import { type VerifyReport, verifyAll } from './verify.ts'

export interface ScribeOptions {
  readonly dir: string
  readonly storeDir: string
  readonly maxBytes: number
  readonly keepFree: number
  readonly reserveBytes: number
  readonly policy: DepotPolicy
  /** Where `xz` and `bzip2` are looked for. */
  readonly searchPath: string
  readonly maxXzMemoryBytes: number
}

/** What a test may replace. */
export interface ScribeMeans {
  readonly disk: Disk
  readonly now: () => number
  readonly random: () => string
}

export const systemMeans: ScribeMeans = { disk: systemDisk, now: Date.now, random: () => crypto.randomUUID() }

export interface ReceiveNar {
  /** `sha256:<52 Nix32>` as the name in the URL says. */
  readonly fileHash: string
  readonly fileSize: number
  readonly compression: Compression
  readonly who: Pusher
}

/** Bodies checked at once; the others are read when one of these ends. Each may have a decompressor's window of 128 MiB. */
const bodiesAtOnce = 12
const dayMs = 86_400_000

export class Scribe {
  readonly recovered: RecoveryReport
  readonly #options: ScribeOptions
  readonly #means: ScribeMeans
  readonly #host: ScribeHost
  readonly #database: WritingDatabase
  readonly #records: Records
  readonly #files: LocalFiles
  readonly #shelf: NarShelf
  readonly #room: Room
  readonly #reserve: Reserve
  readonly #retention: Retention
  readonly #acceptance: Acceptance
  readonly #backups: Backups
  readonly #bodies = new Semaphore(bodiesAtOnce)
  readonly #underWay = new Set<Promise<unknown>>()
  #isClosed = false
  #shortage: string | undefined

  static async open(options: ScribeOptions, host: ScribeHost, means: ScribeMeans = systemMeans): Promise<Scribe> {
    const { dir } = options
    await prepareDirectories(dir, means.disk)
    const database = new WritingDatabase(join(dir, 'depot.db'))
    try {
      const records = new Records(database)
      const recovered = await recover(dir, means.disk, new LocalFiles(dir, means.disk), records, host, means.now())
      const scribe = new Scribe(options, host, means, database, records, recovered)
      await scribe.#reserve.take()
      await scribe.#retention.expire()
      return scribe
    } catch (error) {
      database[Symbol.dispose]()
      throw error
    }
  }

  private constructor(options: ScribeOptions, host: ScribeHost, means: ScribeMeans, database: WritingDatabase, records: Records, recovered: RecoveryReport) {
    const { dir, policy, storeDir } = options
    const { disk, now } = means
    this.#options = options
    this.#means = means
    this.#host = host
    this.#database = database
    this.#records = records
    this.recovered = recovered
    this.#files = new LocalFiles(dir, disk)
    this.#shelf = new NarShelf(records, this.#files)
    this.#reserve = new Reserve(join(dir, 'reserved'), options.reserveBytes)
    this.#backups = new Backups(dir, disk, database)
    const removing = <T>(run: () => T) => this.#removing(run)
    this.#retention = new Retention({ records, shelf: this.#shelf, policy, now, noteUses: () => this.noteUses(), removing })
    this.#room = new Room(options, records, (bytes) => this.#retention.evict(bytes))
    this.#acceptance = new Acceptance({
      storeDir,
      policy,
      records,
      host,
      now,
      adopt: (info, who) => this.#adopt(info, who),
      hashContent: (nar, method, algorithm) => rereadContent(join(dir, narKey(nar)), nar, method, algorithm, options),
    })
  }

  /** A NAR as stock Nix sends it. It waits as `loose` until a path names it. */
  receiveNar({ fileHash, fileSize, compression, who }: ReceiveNar, body: AsyncIterable<Uint8Array>): Promise<NarReceived> {
    return this.#guard(async () => {
      const claim = this.#records.findClaim(fileHash)
      const nar = claim && this.#records.findNar(claim.narHash)
      if (nar !== undefined && !nar.isDamaged) {
        await this.#records.transaction(() => this.#records.addLoose({ ...nar, ...claim!, fileHash }, who.user, this.#means.now()))
        return { status: 'known', narHash: nar.narHash, narSize: nar.narSize }
      }
      return await this.#receive(compression, { fileHash, fileSize }, who, body, fileSize)
    })
  }

  register(commit: Commit): Promise<readonly Registered[] | Refusal> {
    return this.#guard(() => this.#acceptance.register(commit))
  }

  /** Writes down what was used since the last time. */
  async noteUses(): Promise<void> {
    const uses = await this.#host.takeUses()
    if (uses.length === 0) return
    await this.#records.transaction(() => {
      for (const [hashPart, at] of uses) this.#records.noteUse(hashPart, at)
    })
  }

  /** A file that failed its hash while it was read. */
  async markDamaged({ narHash, reason }: { readonly narHash: string; readonly reason: string }): Promise<void> {
    const now = this.#means.now()
    const paths = this.#records.pathsOfNar(narHash)
    await this.#records.transaction(() => {
      if (!this.#records.markDamaged(narHash, now)) return
      for (const storePath of paths) this.#records.addEvent('damaged', { user: 'burrow' }, now, { storePath, narHash, detail: reason })
    })
  }

  collect(options: GcOptions): Promise<GcReport | Refusal> {
    return this.#guard(async () => {
      const report = await this.#retention.collect(options)
      if (!options.isDryRun) await this.#reserve.take()
      return report
    })
  }

  expire(): Promise<undefined | Refusal> {
    return this.#guard(async () => {
      await this.#retention.expire()
      return undefined
    })
  }

  explain(storePath: string): ReturnType<Retention['explain']> {
    return this.#retention.explain(storePath)
  }

  forget({ storePaths, by }: { readonly storePaths: readonly string[]; readonly by: string }): Promise<readonly string[] | Refusal> {
    return this.#guard(() => this.#retention.forget(storePaths, by))
  }

  /** Forgets what this user pushed since then. */
  forgetPushedBy({ user, since, by }: { readonly user: string; readonly since: number; readonly by: string }): Promise<readonly string[] | Refusal> {
    return this.#guard(() => this.#retention.forget(this.#records.pushedBy(user, since), by))
  }

  /** Lets a forgotten path come again. Returns whether it was forgotten. */
  async allow({ storePath, by }: { readonly storePath: string; readonly by: string }): Promise<boolean> {
    return await this.#records.transaction(() => {
      const count = this.#records.allow(storePath)
      if (count > 0) this.#records.addEvent('allow', { user: by }, this.#means.now(), { storePath })
      return count > 0
    })
  }

  setPin(pin: PinRequest): Promise<'stored' | Refusal> {
    return this.#guard(async (): Promise<'stored'> => {
      await this.#records.transaction(() => {
        const missing = pin.storePaths.find((storePath) => !this.#records.hasPath(storePath))
        if (missing !== undefined) throw new Refused('missing-reference', `${missing} is not here: push it before it is pinned`)
        setPin(this.#records, pin, this.#means.now())
      })
      return 'stored'
    })
  }

  async removePin({ name, user }: { readonly name: string; readonly user: string }): Promise<boolean> {
    return await this.#records.transaction(() => {
      const wasThere = this.#records.removePin(name)
      if (wasThere) this.#records.addEvent('unpin', { user }, this.#means.now(), { detail: JSON.stringify({ name }) })
      return wasThere
    })
  }

  putDocument({
    kind,
    key,
    text,
    who,
  }: {
    readonly kind: string
    readonly key: string
    readonly text: string
    readonly who: Pusher
  }): Promise<'stored' | 'known' | 'conflict' | Refusal> {
    return this.#guard(() => this.#records.transaction(() => this.#records.addDocument(kind, key, text, who.user, this.#means.now())))
  }

  verify(): Promise<VerifyReport> {
    const { dir } = this.#options
    return verifyAll(
      dir,
      this.#records,
      (narHash, reason) => this.markDamaged({ narHash, reason }),
      () => this.#isClosed,
    )
  }

  /** A copy of the database for today, unless there is one. */
  backUp(): Promise<string | Refusal> {
    return this.#guard(() => this.#backups.makeForDay(this.#means.now()))
  }

  room(): Promise<RoomFigures> {
    return this.#room.figures()
  }

  /** The last time the disk was full, as the system said it. */
  async shortage(): Promise<string | undefined> {
    return this.#shortage
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    await this.noteUses().catch(() => {})
    this.#isClosed = true
    await Promise.allSettled(this.#underWay)
    this.#database[Symbol.dispose]()
  }

  async #receive(
    compression: Compression,
    expected: Parameters<typeof receiveFile>[2],
    who: Pusher,
    body: AsyncIterable<Uint8Array>,
    fileSize: number,
  ): Promise<NarReceived> {
    this.#checkQuota(who.user, fileSize)
    const giveBack = await this.#room.reserve(fileSize)
    const { disk, random } = this.#means
    const { policy } = this.#options
    const temp = join(this.#options.dir, 'in', random())
    try {
      const file = await this.#bodies.run(() => receiveFile(body, compression, expected, temp, { ...this.#options, disk, maxNarBytes: policy.maxNarBytes }))
      const isTaken = await this.#shelve(file, temp, who)
      if (!isTaken) await disk.unlink(temp)
      return { status: isTaken ? 'stored' : 'known', narHash: file.narHash, narSize: file.narSize }
    } catch (error) {
      await disk.unlink(temp).catch(() => {})
      throw error
    } finally {
      giveBack()
    }
  }

  async #shelve(file: Awaited<ReturnType<typeof receiveFile>>, temp: string, who: Pusher): Promise<boolean> {
    const now = this.#means.now()
    for (;;) {
      try {
        return await this.#shelf.put(file, temp, now, (isTaken) => {
          this.#records.addLoose(file, who.user, now)
          if (isTaken) this.#records.addUsage(who.user, Math.floor(now / dayMs), file.fileSize)
        })
      } catch (error) {
        if (!(error instanceof NarVanished)) throw error
      }
    }
  }

  #checkQuota(user: string, fileSize: number): void {
    const { policy } = this.#options
    const usedToday = this.#records.usedToday(user, Math.floor(this.#means.now() / dayMs))
    if (usedToday + fileSize > policy.bytesPerDayPerUser) {
      throw new Refused('quota', `User ${user} has pushed ${usedToday} bytes today, of ${policy.bytesPerDayPerUser} allowed. Try again tomorrow`)
    }
    const unfinished = this.#records.unfinishedBytes(user)
    if (unfinished + fileSize > policy.unfinishedBytesPerUser) {
      throw new Refused('quota', `User ${user} has ${unfinished} bytes of unfinished uploads, of ${policy.unfinishedBytesPerUser} allowed. Finish these first`)
    }
  }

  async #adopt(info: PathInfo, who: Pusher): Promise<NarReceived> {
    const nar = this.#records.findNar(info.narHash)
    if (nar !== undefined && !nar.isDamaged) {
      await this.#records.transaction(() => this.#records.addLoose(nar, who.user, this.#means.now()))
      return { status: 'known', narHash: info.narHash, narSize: info.narSize }
    }
    const local = await this.#host.openLocal(info.storePath)
    if (local === undefined) return refuse('missing-nar', `${info.storePath} is gone from this cache's own machine`)
    return await this.#receive(local.compression, { narHash: info.narHash, narSize: info.narSize }, { ...who, user: who.user }, local.body, info.narSize)
  }

  async #removing<T>(run: () => T): Promise<T> {
    try {
      return await this.#records.transaction(run)
    } catch (error) {
      if (!isDatabaseFull(error) || !(await this.#reserve.giveUp())) throw error
      this.#host.log('warn', {}, 'the disk of the depot is full: its reserve was given up so that something can be removed')
      return await this.#records.transaction(run)
    }
  }

  /** Refusals become values, a full disk a refusal, and everything else a log entry and "not now". */
  #guard<T>(work: () => Promise<T>): Promise<T | Refusal> {
    if (this.#isClosed) return Promise.resolve(refuse('cut', 'The cache is shutting down'))
    const running = work().catch((error: unknown): Refusal => {
      if (error instanceof Refused) return error.refusal
      if (isFull(error)) {
        this.#shortage = (error as Error).message
        this.#host.log('error', { err: error }, 'the disk of the depot is full: nothing can be pushed')
        return refuse('no-room', 'The disk of this cache is full. Its administrator must make room')
      }
      this.#host.log('error', { err: error }, 'the depot failed')
      return refuse('unavailable', 'This cache cannot store anything at the moment; its log says why')
    })
    this.#underWay.add(running)
    return running.finally(() => this.#underWay.delete(running))
  }
}

function isFull(error: unknown): boolean {
  return isDatabaseFull(error) || ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')
}
