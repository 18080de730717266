/**
 * The depot as it is read: synchronous look-ups on a connection of its own, files through `kept-nars.ts`, and what was
 * used, noted in memory.
 */
import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

import type { Fault } from '../../faults.ts'
import { parseRealisationId } from '../../nix/realisation.ts'
import { createFileForm } from '../file-form.ts'
import type { DepotHealth, StoreHealth } from '../health.ts'
import type { FileForm, Leases, PathsPage, Realisation, Store, StoreObject } from '../store.ts'
import { readLog } from './build-log-files.ts'
import { narKey } from './depot-files.ts'
import { type DepotOptions, noLocal } from './depot-options.ts'
import { KeptNars } from './kept-nars.ts'
import type { Pin } from './pins.ts'
import { type Plan, planPaths } from './plan.ts'
import { type ObjectRecord, Queries } from './sqlite/queries.ts'
import { ReadingDatabase } from './sqlite/reading-database.ts'
import type { DepotEvent, DepotPolicy, NarRecord, PathRecord, Refusal } from './types.ts'
import type { Uses } from './uses.ts'
import { WithdrawnNars } from './withdrawn-nars.ts'
import type { WriterLink } from './writer-messages.ts'

export class DepotReader implements Store, AsyncDisposable {
  readonly name = 'depot'
  readonly storeDir: string
  readonly leases: Leases
  readonly policy: DepotPolicy
  protected readonly records: Queries
  protected readonly writer: WriterLink
  protected readonly now: () => number
  readonly #options: DepotOptions
  readonly #uses: Uses
  readonly #database: ReadingDatabase
  readonly #kept: KeptNars
  readonly #withdrawn: WithdrawnNars
  #dataVersion = -1
  #generation = 0
  #shortage: string | undefined

  protected constructor(options: DepotOptions, policy: DepotPolicy, uses: Uses, writer: WriterLink) {
    this.#options = options
    this.policy = policy
    this.storeDir = options.storeDir
    this.#uses = uses
    this.writer = writer
    this.now = options.now ?? Date.now
    this.#database = new ReadingDatabase(join(options.dir, 'depot.db'))
    this.records = new Queries(this.#database)
    this.#kept = new KeptNars(options.dir, (nar, fault) => this.#fileFailed(nar, fault))
    this.#withdrawn = new WithdrawnNars(writer, options.log)
    this.leases = uses.leases
  }

  generation(): number {
    const version = this.#database.dataVersion()
    if (version !== this.#dataVersion) {
      this.#generation = this.records.state('generation')
      this.#dataVersion = version
    }
    return this.#generation + this.#withdrawn.total
  }

  find(hashPart: string, fits?: (object: StoreObject) => boolean): StoreObject | undefined {
    const found = this.#findRecord(hashPart)
    if (found === undefined) return undefined
    const object: StoreObject = { info: found.info, form: this.#formOf(found.nar), store: this, trust: 'ours' }
    return fits === undefined || fits(object) ? object : undefined
  }

  pathsAfter(cursor: string): PathsPage {
    return this.records.pathsAfter(cursor)
  }

  referrersOf(storePath: string, limit: number): readonly string[] {
    return this.records.referrersOf(storePath, limit)
  }

  findSystem(): undefined {
    return undefined
  }

  /** A NAR by the hash of its file, whatever paths it belongs to: for `nar/<file hash>.nar`. */
  findNarFile(fileHash: string): FileForm | undefined {
    const nar = this.records.findNarByFile(fileHash)
    return nar === undefined || nar.isDamaged || this.#withdrawn.covers(nar.narHash) ? undefined : this.#formOf(nar)
  }

  withdraw({ info, form }: StoreObject, fault: Fault): void {
    const nar = this.records.findNar(info.narHash)
    if (form.kind === 'file' && nar?.fileHash === form.fileHash) this.#withdrawn.withdraw(info.narHash, fault)
  }

  /** Does not throw: it is asked for when something is wrong, for example when the depot's disk is gone. */
  health(): StoreHealth {
    const { depot, problem } = this.#findFigures()
    return {
      name: this.name,
      type: 'depot',
      location: this.#options.dir,
      isReadable: depot !== undefined,
      mode: undefined,
      problem,
      withdrawn: { now: depot?.damaged ?? 0, total: this.#withdrawn.total },
      leases: undefined,
      depot,
    }
  }

  #findFigures(): Pick<StoreHealth, 'depot' | 'problem'> {
    try {
      return { depot: this.figures(), problem: undefined }
    } catch (error) {
      return { depot: undefined, problem: (error as Error).message }
    }
  }

  /** What was pushed, and what room there is for more. */
  figures(): DepotHealth {
    return {
      ...this.records.figures(this.now()),
      maxBytes: this.#options.maxBytes,
      freeBytes: this.#freeBytes(),
      shortage: this.#shortage,
      recovered: this.writer.recovered,
    }
  }

  findDocument(kind: 'realisation' | 'build-trace' | 'debuginfo', key: string): string | undefined {
    return this.records.findDocument(kind, key)
  }

  findRealisation(id: string): Realisation | undefined {
    const text = parseRealisationId(id) && this.findDocument('realisation', id)
    return text === undefined ? undefined : (JSON.parse(text) as Realisation)
  }

  async openLog(drvBaseName: string): Promise<Readable | undefined> {
    return this.records.findLog(drvBaseName) === undefined ? undefined : readLog(this.#options.dir, drvBaseName)
  }

  /**
   * What of these paths must be sent by this user. At most 2,000 paths at once. Changes nothing but when they were used
   * last.
   */
  plan(paths: readonly PathRecord[], partBytes: number, user: string): Promise<Plan> {
    const { local = noLocal, maxBytes } = this.#options
    return planPaths(paths, partBytes, user, {
      storeDir: this.storeDir,
      policy: this.policy,
      records: this.records,
      local,
      freeBytes: Math.max(0, Math.min(this.#freeBytes(), maxBytes - this.records.state('bytes'))),
      promise: (storePath) => this.#uses.note(storePath, true),
    })
  }

  pins(): Pin[] {
    return this.records.pins().map((pin) => ({ ...pin, revisions: this.records.revisions(pin.name) }))
  }

  /** Events of a path, the latest first. */
  who(storePath: string, limit = 100): DepotEvent[] {
    return this.records.events({ storePath, limit })
  }

  events(since: number, limit = 1000): DepotEvent[] {
    return this.records.events({ since, limit })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#database[Symbol.dispose]()
  }

  /** Remembers whether the last push failed for want of room. */
  protected noteShortage<T>(result: T): T {
    const { status, code, reason } = result as T & Partial<Refusal>
    if (status !== 'refused') this.#shortage = undefined
    else if (code === 'no-room') this.#shortage = reason
    return result
  }

  #freeBytes(): number {
    const { dir, keepFree } = this.#options
    const { bavail, bsize } = statfsSync(dir)
    return Math.max(0, bavail * bsize - keepFree)
  }

  #findRecord(hashPart: string): ObjectRecord | undefined {
    const found = this.records.findObject(hashPart)
    return found === undefined || found.nar.isDamaged || this.#withdrawn.covers(found.nar.narHash) ? undefined : found
  }

  #formOf(nar: NarRecord): FileForm {
    const { compression, fileHash, fileSize } = nar
    return createFileForm(
      { compression, fileHash, fileSize, open: (range) => this.#kept.open(nar, range) },
      this.#options.decompressors,
    )
  }

  /** A file that a collection removed, or another took the place of, is no damage. */
  #fileFailed(nar: NarRecord, fault: Fault): void {
    const row = this.records.findNar(nar.narHash)
    if (row !== undefined && narKey(row) === narKey(nar)) this.#withdrawn.withdraw(nar.narHash, fault)
  }
}
