/**
 * The depot's writer: everything that touches its files or changes its database happens here, in one thread of its own.
 * Each public call takes one argument that can be cloned (and a body, if it receives one), and resolves when its result
 * survives kill -9 and a power cut. Refusals are values; see `guard`.
 */
import { join } from 'node:path'

import { type Disk, isDiskFull, systemDisk } from '../../disk/disk.ts'
import { Acceptance, type Commit } from './acceptance.ts'
import { Assemblies, type PartReceived, type PutPart } from './assemblies.ts'
import { Backups } from './backups.ts'
import { BatchUploads, type PutBatch } from './batch-uploads.ts'
import { BuildLogFiles, type PutLog } from './build-log-files.ts'
import { type CommitOptions, type Committed, commitPaths } from './committing.ts'
import { LocalFiles, narKey } from './depot-files.ts'
import type { WriterHost } from './host.ts'
import { NarShelf } from './nar-shelf.ts'
import { type PinRequest, putPin, removePin } from './pins.ts'
import { prepareDirectories, type RecoveryReport, recover } from './recovery.ts'
import { rereadContent } from './reread.ts'
import { Reserve } from './reserve.ts'
import { type GcOptions, type GcReport, Retention } from './retention.ts'
import { Room } from './room.ts'
import { Records } from './sqlite/records.ts'
import { isDatabaseFull, WritingDatabase } from './sqlite/writing-database.ts'
import {
  type DepotPolicy,
  type NarReceived,
  type Pusher,
  type Refusal,
  Refused,
  type Registered,
  refuse,
} from './types.ts'
import { type FetchNar, type ReceiveNar, Uploads } from './uploads.ts'
import { type VerifyReport, verifyAll } from './verify.ts'

export interface WriterOptions {
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

/** Injected dependencies. */
export interface WriterMeans {
  readonly disk: Disk
  readonly now: () => number
  readonly random: () => string
}

export const systemMeans: WriterMeans = { disk: systemDisk, now: Date.now, random: () => crypto.randomUUID() }

export class DepotWriter {
  readonly recovered: RecoveryReport
  readonly #options: WriterOptions
  readonly #means: WriterMeans
  readonly #host: WriterHost
  readonly #database: WritingDatabase
  readonly #records: Records
  readonly #files: LocalFiles
  readonly #shelf: NarShelf
  readonly #room: Room
  readonly #reserve: Reserve
  readonly #retention: Retention
  readonly #acceptance: Acceptance
  readonly #backups: Backups
  readonly #assemblies: Assemblies
  readonly #logs: BuildLogFiles
  readonly #uploads: Uploads
  readonly #batches: BatchUploads
  readonly #underWay = new Set<Promise<unknown>>()
  #isClosed = false

  static async open(options: WriterOptions, host: WriterHost, means: WriterMeans = systemMeans): Promise<DepotWriter> {
    const { dir } = options
    await prepareDirectories(dir, means.disk)
    const database = new WritingDatabase(join(dir, 'depot.db'))
    try {
      const records = new Records(database)
      const recovered = await recover(dir, means.disk, new LocalFiles(dir, means.disk), records, host, means.now())
      const writer = new DepotWriter(options, host, means, database, records, recovered)
      await writer.#reserve.take()
      await writer.#retention.expire()
      return writer
    } catch (error) {
      database[Symbol.dispose]()
      throw error
    }
  }

  private constructor(
    options: WriterOptions,
    host: WriterHost,
    means: WriterMeans,
    database: WritingDatabase,
    records: Records,
    recovered: RecoveryReport,
  ) {
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
    const dropUploads = (before: number) => this.#assemblies.drop(records.assembliesBefore(before))
    this.#retention = new Retention({
      records,
      shelf: this.#shelf,
      policy,
      now,
      noteUses: () => this.noteUses(),
      removing,
      dropUploads,
    })
    this.#room = new Room(options, records, (bytes) => this.#retention.evict(bytes))
    const { random } = means
    const uploadParts = {
      dir,
      disk,
      policy,
      records,
      shelf: this.#shelf,
      room: this.#room,
      host,
      now,
      random,
      decoding: options,
    }
    this.#uploads = new Uploads(uploadParts)
    this.#batches = new BatchUploads(uploadParts, (user, bytes) => this.#uploads.checkQuota(user, bytes))
    this.#assemblies = new Assemblies({
      dir,
      disk,
      records,
      now,
      random,
      maxNarBytes: policy.maxNarBytes,
      decoding: options,
      checkQuota: (user, bytes) => this.#uploads.checkQuota(user, bytes),
      reserve: (bytes) => this.#room.reserve(bytes),
      shelve: (file, localFile, who, alsoWrite) => this.#uploads.shelve(file, localFile, who, alsoWrite),
      log: (err, message) => host.log('error', { err }, message),
    })
    this.#logs = new BuildLogFiles({ dir, disk, files: this.#files, records, now, random })
    this.#acceptance = new Acceptance({
      storeDir,
      policy,
      records,
      host,
      now,
      adopt: (info, who) => this.#guard(() => this.#uploads.adopt(info, who)),
      hashContent: (nar, method, algorithm) =>
        rereadContent(this.#files.open(narKey(nar)), nar, method, algorithm, options),
    })
  }

  /** A NAR as stock Nix sends it. It waits as `loose` until a path names it. */
  receiveNar(upload: ReceiveNar, body: AsyncIterable<Uint8Array>): Promise<NarReceived> {
    return this.#guard(() => this.#uploads.receive(upload, body))
  }

  /** A NAR that the cache itself fetches; the NAR hash is known. */
  fetchNar(nar: FetchNar, body: AsyncIterable<Uint8Array>): Promise<NarReceived> {
    return this.#guard(() => this.#uploads.fetch(nar, body))
  }

  register(commit: Commit): Promise<readonly Registered[] | Refusal> {
    return this.#guard(() => this.#acceptance.register(commit))
  }

  /** One part of a NAR. */
  putPart(part: PutPart, body: AsyncIterable<Uint8Array>): Promise<PartReceived> {
    return this.#guard(() => this.#assemblies.put(part, body))
  }

  /** Many small NARs in one body; a reply for each. */
  putBatch(batch: PutBatch, body: AsyncIterable<Uint8Array>): Promise<readonly NarReceived[] | Refusal> {
    return this.#guard(() => this.#batches.receive(batch, body, (work) => this.#guard(work)))
  }

  /** Registers what is whole; says what is missing of the rest. */
  commit(options: CommitOptions): Promise<readonly Committed[] | Refusal> {
    const { policy } = this.#options
    return this.#guard(() =>
      commitPaths(options, {
        records: this.#records,
        policy,
        host: this.#host,
        assemblies: this.#assemblies,
        acceptance: this.#acceptance,
      }),
    )
  }

  /** Writes down what was used since the last time. */
  async noteUses(): Promise<void> {
    const uses = await this.#host.takeUses()
    if (uses.length === 0) return
    await this.#records.transaction(() => {
      for (const { hashPart, at, isPromised } of uses) this.#records.noteUse(hashPart, at, isPromised)
    })
  }

  /** A file that failed its hash while it was read. */
  async markDamaged({ narHash, reason }: { readonly narHash: string; readonly reason: string }): Promise<void> {
    const now = this.#means.now()
    const paths = this.#records.pathsOfNar(narHash)
    await this.#records.transaction(() => {
      if (!this.#records.markDamaged(narHash, now)) return
      for (const storePath of paths)
        this.#records.addEvent('damaged', { user: 'burrow' }, now, { storePath, narHash, detail: reason })
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

  forget({
    storePaths,
    by,
  }: {
    readonly storePaths: readonly string[]
    readonly by: string
  }): Promise<readonly string[] | Refusal> {
    return this.#guard(() => this.#retention.forget(storePaths, by))
  }

  /** Forgets what this user pushed since then. */
  forgetPushedBy({
    user,
    since,
    by,
  }: {
    readonly user: string
    readonly since: number
    readonly by: string
  }): Promise<readonly string[] | Refusal> {
    return this.#guard(() => this.#retention.forget(this.#records.pushedBy(user, since), by))
  }

  allow({ storePath, by }: { readonly storePath: string; readonly by: string }): Promise<boolean | Refusal> {
    return this.#guard(() => this.#retention.allow(storePath, by))
  }

  setPin(pin: PinRequest): Promise<'stored' | Refusal> {
    return this.#guard(() => this.#records.transaction(() => putPin(this.#records, pin, this.#means.now())))
  }

  removePin(pin: { readonly name: string; readonly user: string }): Promise<boolean | Refusal> {
    return this.#guard(() => this.#records.transaction(() => removePin(this.#records, pin, this.#means.now())))
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
    return this.#guard(() =>
      this.#records.transaction(() => this.#records.addDocument(kind, key, text, who.user, this.#means.now())),
    )
  }

  putLog(log: PutLog, body: AsyncIterable<Uint8Array>): Promise<'stored' | 'known' | 'conflict' | Refusal> {
    return this.#guard(() => this.#logs.put(log, body))
  }

  verify(): Promise<VerifyReport | Refusal> {
    const onDamaged = (narHash: string, reason: string) => this.markDamaged({ narHash, reason })
    return this.#guard(() => verifyAll(this.#files, this.#records, onDamaged, () => this.#isClosed))
  }

  /** A copy of the database for today, unless there is one. */
  backUp(): Promise<string | Refusal> {
    return this.#guard(() => this.#backups.makeForDay(this.#means.now()))
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    await this.noteUses().catch(() => {})
    this.#isClosed = true
    await Promise.allSettled(this.#underWay)
    await this.#assemblies.close()
    this.#database[Symbol.dispose]()
  }

  async #removing<T>(run: () => T): Promise<T> {
    try {
      return await this.#records.transaction(run)
    } catch (error) {
      if (!isDatabaseFull(error) || !(await this.#reserve.giveUp())) throw error
      this.#host.log('warn', {}, 'depot disk is full: released the reserved space so that objects can be removed')
      return await this.#records.transaction(run)
    }
  }

  /** Refusals become values, a full disk a refusal, and everything else a log entry and "not now". */
  #guard<T>(work: () => Promise<T>): Promise<T | Refusal> {
    if (this.#isClosed) return Promise.resolve(refuse('cut', 'The cache is shutting down'))
    const running = work().catch((error: unknown): Refusal => {
      if (error instanceof Refused) return error.refusal
      if (isFull(error)) {
        this.#host.log('error', { err: error }, 'depot disk is full: pushes are refused')
        return refuse('no-room', 'The disk of this cache is full. Ask its administrator to free space')
      }
      this.#host.log('error', { err: error }, 'depot operation failed')
      return refuse('unavailable', 'This cache cannot store anything at the moment; see its log')
    })
    this.#underWay.add(running)
    return running.finally(() => this.#underWay.delete(running))
  }
}

function isFull(error: unknown): boolean {
  return isDatabaseFull(error) || isDiskFull(error)
}
