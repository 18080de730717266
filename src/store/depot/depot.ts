/**
 * The depot: store objects that were pushed here. Their NARs are kept as they came, checked before they count; a database says what is here.
 *
 *   const depot = await openDepot({ dir, storeDir, maxBytes, keepFree, searchPath, log, local })
 *
 * As a store (`store.ts`): find, generation, withdraw, leases, health, logs, realisations. Synchronous, a reading connection of its own.
 *
 * Pushing, protocol A (stock Nix). Each call resolves when its result survives a power cut; refusals are values `{ status: 'refused', code, reason }`:
 *   PUT nar/<hash>.nar[.ext]   depot.admitNar(upload)            from the headers: { status: 'known' }, a refusal, or undefined: read the body
 *                              depot.receiveNar(upload, body)    body: AsyncIterable<Uint8Array>; use request.iterator({ destroyOnReturn: false })
 *   HEAD nar/…                 depot.findNarFile(fileHash)
 *   PUT <hash>.narinfo         depot.registerNarInfo(hashPart, narInfo, who)
 *   PUT realisations, debuginfo, log   depot.putDocument, depot.putLog
 * Protocol B: depot.plan, putPart, putBatch, commit. Administration: setPin, removePin, pins, collect (dry or not), explain, forget, allow, who, verify, backUp.
 *
 * Reading  ── main thread ── reading-database, kept-nars (files, ranges, verified here before the last chunk)
 * Writing  ── scribe-thread ⇄ scribe-worker ── scribe ─┬─ incoming (hash, decompress, parse) ── nar-shelf (file first, row afterwards)
 *                                                      ├─ acceptance ── decision (pure, inside the transaction)
 *                                                      ├─ assemblies (parts)      └─ retention ── graph
 *                                                      └─ sqlite/ (all SQL)
 */
import { mkdirSync, readdirSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

import { type Clock, systemClock } from '../../clock.ts'
import { takeDirectoryLock } from '../../disk/lock.ts'
import type { Fault } from '../../faults.ts'
import type { Log } from '../../log.ts'
import type { Decompressors } from '../../nar/decompress.ts'
import type { Compression, NarInfo } from '../../nix/nar-info.ts'
import { parseRealisationId } from '../../nix/realisation.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import { createFileForm } from '../file-form.ts'
import type { DepotHealth, FileForm, Leases, Realisation, Store, StoreHealth, StoreObject } from '../store.ts'
import type { Commit } from './acceptance.ts'
import type { ScribeHost } from './host.ts'
import { KeptNars } from './kept-nars.ts'
import { startMaintenance } from './maintenance.ts'
import { parseNarFileUrl } from './nar-file-url.ts'
import type { Pin, PinRequest } from './pins.ts'
import type { GcOptions, GcReport } from './retention.ts'
import type { ReceiveNar, ScribeOptions } from './scribe.ts'
import type { ScribeLink } from './scribe-messages.ts'
import { startScribeThread } from './scribe-thread.ts'
import { type ObjectRecord, Queries } from './sqlite/queries.ts'
import { ReadingDatabase } from './sqlite/reading-database.ts'
import {
  type DepotEvent,
  type DepotPolicy,
  defaultPolicy,
  type NarReceived,
  type NarRecord,
  type Pusher,
  type Refusal,
  type Registered,
  refuse,
} from './types.ts'
import type { VerifyReport } from './verify.ts'

/** What the depot asks of the local store: to tell conflicts, and to adopt references that Nix may collect. */
export type LocalSource = Pick<ScribeHost, 'describeLocal' | 'openLocal'>

export interface DepotOptions {
  readonly dir: string
  /** Logical, without a trailing slash. */
  readonly storeDir: string
  readonly maxBytes: number
  /** What the file system is to have left for others. */
  readonly keepFree: number
  readonly policy?: Partial<DepotPolicy>
  /** Where `xz` and `bzip2` are looked for, as in PATH. */
  readonly searchPath: string
  /** Programs for the compressions that node:zlib cannot read: for listings and for clients that want the NAR itself. */
  readonly decompressors: Decompressors
  readonly log: Log
  readonly local?: LocalSource | undefined
  /** Runs the maintenance: last uses each minute, unfinished uploads each hour, collection and backup each day. */
  readonly clock?: Clock
  /** Milliseconds since 1970. */
  readonly now?: () => number
  readonly reserveBytes?: number
  readonly maxXzMemoryBytes?: number
  /** How the writer is started: in a thread of its own unless a test wants it elsewhere. */
  readonly startScribe?: (options: ScribeOptions, host: ScribeHost, log: Log) => Promise<ScribeLink>
  readonly pid: number
}

const noLocal: LocalSource = {
  describeLocal: async (storePaths) => storePaths.map(() => undefined),
  openLocal: async () => undefined,
}

const ourNames = new Set([
  'depot.db',
  'depot.db-wal',
  'depot.db-shm',
  'lock',
  'lock-journal',
  'lock.pid',
  'nar',
  'part',
  'in',
  'log',
  'backup',
  'reserved',
  'lost+found',
])
const dayMs = 86_400_000

/** @throws {DirectoryLocked | Error} naming the directory and the remedy */
export async function openDepot(options: DepotOptions): Promise<Depot> {
  const { dir } = options
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const foreign = readdirSync(dir).filter((name) => !ourNames.has(name))
  if (foreign.length > 0) throw new Error(`Cannot use "${dir}" as depot: it holds "${foreign[0]}", which is not Burrow's. Name an empty directory`)
  const lock = takeDirectoryLock(dir, options.pid)
  try {
    return await Depot.open(options, lock)
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}

export class Depot implements Store, AsyncDisposable {
  readonly name = 'depot'
  readonly storeDir: string
  readonly leases: Leases
  readonly policy: DepotPolicy
  readonly #options: DepotOptions
  readonly #lock: Disposable
  readonly #uses: Map<string, number>
  readonly #scribe: ScribeLink
  readonly #database: ReadingDatabase
  readonly #records: Queries
  readonly #kept: KeptNars
  readonly #stopMaintenance: () => void
  readonly #now: () => number
  /** NARs found damaged here whose mark is not yet in the database. */
  readonly #withdrawing = new Map<string, number>()
  #withdrawals = 0
  #dataVersion = -1
  #generation = 0
  #shortage: string | undefined

  static async open(options: DepotOptions, lock: Disposable): Promise<Depot> {
    const { log, local = noLocal, policy, startScribe = startScribeThread, reserveBytes = 16 * 2 ** 20, maxXzMemoryBytes = 128 * 2 ** 20 } = options
    const { dir, storeDir, maxBytes, keepFree, searchPath } = options
    const uses = new Map<string, number>()
    const host: ScribeHost = {
      ...local,
      takeUses: async () => {
        const taken = [...uses]
        uses.clear()
        return taken
      },
      log: (level, fields, message) => log[level](fields, message),
    }
    const whole = { ...defaultPolicy, ...policy }
    const scribe = await startScribe({ dir, storeDir, maxBytes, keepFree, reserveBytes, policy: whole, searchPath, maxXzMemoryBytes }, host, log)
    if (scribe.recovered.sweptFiles > 0) log.info({ dir, files: scribe.recovered.sweptFiles }, 'files that an interrupted run left in the depot were removed')
    return new Depot(options, whole, lock, uses, scribe)
  }

  private constructor(options: DepotOptions, policy: DepotPolicy, lock: Disposable, uses: Map<string, number>, scribe: ScribeLink) {
    this.#options = options
    this.policy = policy
    this.storeDir = options.storeDir
    this.#lock = lock
    this.#uses = uses
    this.#scribe = scribe
    this.#now = options.now ?? Date.now
    this.#database = new ReadingDatabase(join(options.dir, 'depot.db'))
    this.#records = new Queries(this.#database)
    this.#kept = new KeptNars(options.dir, (nar, fault) => this.#withdrawNar(nar.narHash, fault))
    this.leases = {
      covers: (storePath) => {
        this.#noteUse(storePath)
        return true
      },
      take: async (storePath) => this.#noteUse(storePath),
      hold: async (storePath) => {
        this.#noteUse(storePath)
        return () => this.#noteUse(storePath)
      },
    }
    this.#stopMaintenance = startMaintenance(scribe, options.clock ?? systemClock, options.log)
  }

  generation(): number {
    const version = this.#database.dataVersion()
    if (version !== this.#dataVersion) {
      this.#generation = this.#records.state('generation')
      this.#dataVersion = version
    }
    return this.#generation + this.#withdrawals
  }

  find(hashPart: string, fits?: (object: StoreObject) => boolean): StoreObject | undefined {
    const found = this.#findRecord(hashPart)
    if (found === undefined) return undefined
    const object: StoreObject = { info: found.info, form: this.#formOf(found.nar), store: this, trust: 'ours' }
    return fits === undefined || fits(object) ? object : undefined
  }

  findSystem(): undefined {
    return undefined
  }

  /** A NAR by the hash of its file, whatever paths it belongs to: for `nar/<file hash>.nar`. */
  findNarFile(fileHash: string): FileForm | undefined {
    const nar = this.#records.findNarByFile(fileHash)
    return nar === undefined || nar.isDamaged || this.#withdrawing.has(nar.narHash) ? undefined : this.#formOf(nar)
  }

  withdraw(object: StoreObject, fault: Fault): void {
    this.#withdrawNar(object.info.narHash, fault)
  }

  health(): StoreHealth {
    const depot = this.figures()
    return {
      name: this.name,
      type: 'depot',
      location: this.#options.dir,
      isReadable: true,
      mode: undefined,
      problem: undefined,
      withdrawn: { now: depot.damaged, total: this.#withdrawals },
      leases: undefined,
      depot,
    }
  }

  /** What was pushed, and what room there is for more. */
  figures(): DepotHealth {
    const { dir, maxBytes, keepFree } = this.#options
    const { bavail, bsize } = statfsSync(dir)
    const { objects, nars, damaged, assemblies, pins } = this.#records.counts()
    return {
      objects,
      nars,
      damaged,
      pins,
      unfinishedUploads: assemblies,
      unfinishedBytes: this.#records.unfinishedBytes(),
      usedBytes: this.#records.state('bytes'),
      maxBytes,
      freeBytes: Math.max(0, bavail * bsize - keepFree),
      pushedToday: this.#records.usersOfDay(Math.floor(this.#now() / dayMs)),
      shortage: this.#shortage,
      recovered: this.#scribe.recovered,
    }
  }

  /** What the headers of an upload decide: here already, refused, or (undefined) to be read. */
  admitNar({ fileHash, fileSize, compression, who }: ReceiveNar): { readonly status: 'known' } | Refusal | undefined {
    if (this.findNarFile(fileHash) !== undefined) return { status: 'known' }
    if (!acceptedCompressions.has(compression))
      return refuse('unsupported', `This cache does not take NARs compressed with ${compression}: use ?compression=zstd`)
    const { bytesPerDayPerUser, unfinishedBytesPerUser } = this.policy
    if (fileSize > this.#options.maxBytes) return refuse('no-room', `This cache holds ${this.#options.maxBytes} bytes at most, and this file has ${fileSize}`)
    const usedToday = this.#records.usedToday(who.user, Math.floor(this.#now() / dayMs))
    if (usedToday + fileSize > bytesPerDayPerUser) {
      return refuse('quota', `User ${who.user} has pushed ${usedToday} bytes today, of ${bytesPerDayPerUser} allowed. Try again tomorrow`)
    }
    const unfinished = this.#records.unfinishedBytes(who.user)
    if (unfinished + fileSize <= unfinishedBytesPerUser) return undefined
    return refuse('quota', `User ${who.user} has ${unfinished} bytes of unfinished uploads, of ${unfinishedBytesPerUser} allowed. Finish these first`)
  }

  async receiveNar(upload: ReceiveNar, body: AsyncIterable<Uint8Array>): Promise<NarReceived> {
    return this.#noteShortage(await this.#scribe.call('receiveNar', upload, body))
  }

  /** A narinfo that stock Nix sends; `hashPart` is that of the request. */
  async registerNarInfo(hashPart: string, info: NarInfo, who: Pusher): Promise<Registered> {
    if (hashPartOf(info.storePath) !== hashPart) return refuse('mismatch', `StorePath ${info.storePath} does not belong to ${hashPart}.narinfo`)
    const url = parseNarFileUrl(info.url)
    if (url === undefined)
      return refuse('mismatch', 'URL does not name a file of this cache as Nix writes it: nar/<file hash>.nar and the suffix of its compression')
    if (url.compression !== info.compression) return refuse('mismatch', `Compression is ${info.compression}, but URL ends as for ${url.compression}`)
    if (info.fileHash !== undefined && info.fileHash !== url.fileHash) return refuse('mismatch', `FileHash is ${info.fileHash}, but URL names ${url.fileHash}`)
    const file = { fileHash: url.fileHash, fileSize: info.fileSize, compression: info.compression }
    const { storePath, narHash, narSize, references, deriver, signatures, contentAddress } = info
    const paths = [{ storePath, narHash, narSize, references, deriver, signatures, contentAddress, file }]
    const verdicts = await this.register({ paths, who, isAtomic: true })
    return 'status' in verdicts ? verdicts : verdicts[0]!
  }

  /** Many paths in one transaction; a verdict for each. */
  async register(commit: Commit): Promise<readonly Registered[] | Refusal> {
    return this.#noteShortage(await this.#scribe.call('register', commit))
  }

  putDocument(kind: 'realisation' | 'build-trace' | 'debuginfo', key: string, text: string, who: Pusher): Promise<'stored' | 'known' | 'conflict' | Refusal> {
    return this.#scribe.call('putDocument', { kind, key, text, who })
  }

  findDocument(kind: 'realisation' | 'build-trace' | 'debuginfo', key: string): string | undefined {
    return this.#records.findDocument(kind, key)
  }

  findRealisation(id: string): Realisation | undefined {
    const text = parseRealisationId(id) && this.findDocument('realisation', id)
    return text === undefined ? undefined : (JSON.parse(text) as Realisation)
  }

  async openLog(_drvBaseName: string): Promise<Readable | undefined> {
    return undefined
  }

  pins(): Pin[] {
    return this.#records.pins().map((pin) => ({ ...pin, revisions: this.#records.revisions(pin.name) }))
  }

  setPin(pin: PinRequest): Promise<'stored' | Refusal> {
    return this.#scribe.call('setPin', pin)
  }

  removePin(name: string, user: string): Promise<boolean> {
    return this.#scribe.call('removePin', { name, user })
  }

  collect(options: GcOptions): Promise<GcReport | Refusal> {
    return this.#scribe.call('collect', options)
  }

  explain(storePath: string): Promise<readonly { readonly storePath: string; readonly why: string }[] | undefined> {
    return this.#scribe.call('explain', storePath)
  }

  forget(storePaths: readonly string[], by: string): Promise<readonly string[] | Refusal> {
    return this.#scribe.call('forget', { storePaths, by })
  }

  forgetPushedBy(user: string, since: number, by: string): Promise<readonly string[] | Refusal> {
    return this.#scribe.call('forgetPushedBy', { user, since, by })
  }

  allow(storePath: string, by: string): Promise<boolean> {
    return this.#scribe.call('allow', { storePath, by })
  }

  /** Who did what with a path, the latest first. */
  who(storePath: string, limit = 100): DepotEvent[] {
    return this.#records.events({ storePath, limit })
  }

  events(since: number, limit = 1000): DepotEvent[] {
    return this.#records.events({ since, limit })
  }

  verify(): Promise<VerifyReport> {
    return this.#scribe.call('verify', undefined as never)
  }

  backUp(): Promise<string | Refusal> {
    return this.#scribe.call('backUp', undefined as never)
  }

  /** Writes down at once what was used, instead of within a minute. */
  noteUses(): Promise<void> {
    return this.#scribe.call('noteUses', undefined as never)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopMaintenance()
    await this.#scribe.close()
    this.#database[Symbol.dispose]()
    this.#lock[Symbol.dispose]()
  }

  #findRecord(hashPart: string): ObjectRecord | undefined {
    const found = this.#records.findObject(hashPart)
    return found === undefined || found.nar.isDamaged || this.#withdrawing.has(found.nar.narHash) ? undefined : found
  }

  #formOf(nar: NarRecord): FileForm {
    const { compression, fileHash, fileSize } = nar
    return createFileForm({ compression, fileHash, fileSize, open: (range) => this.#kept.open(nar, range) }, this.#options.decompressors)
  }

  #noteUse(storePath: string): void {
    this.#uses.set(hashPartOf(storePath), this.#now())
  }

  #withdrawNar(narHash: string, fault: Fault): void {
    this.#withdrawals++
    this.#withdrawing.set(narHash, (this.#withdrawing.get(narHash) ?? 0) + 1)
    this.#options.log.error({ narHash, code: fault.code, err: fault }, 'a NAR of the depot is damaged: its paths are out of service until it is pushed again')
    void this.#scribe
      .call('markDamaged', { narHash, reason: String(fault.cause ?? fault.message) })
      .catch((error: unknown) => this.#options.log.error({ narHash, err: error }, 'cannot note that a NAR of the depot is damaged'))
      .then(() => {
        const left = this.#withdrawing.get(narHash)! - 1
        if (left === 0) this.#withdrawing.delete(narHash)
        else this.#withdrawing.set(narHash, left)
      })
  }

  #noteShortage<T>(result: T): T {
    const { status, code, reason } = result as { readonly status?: string; readonly code?: string; readonly reason?: string }
    if (status !== 'refused') this.#shortage = undefined
    else if (code === 'no-room') this.#shortage = reason
    return result
  }
}

const acceptedCompressions: ReadonlySet<Compression> = new Set<Compression>(['none', 'zstd', 'xz', 'br', 'bzip2', 'gzip'])
