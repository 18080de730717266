/**
 * This machine's Nix store: records from its SQLite database, files from the real store directory, leases from its
 * daemon.
 *
 *   storeDir /nix/store · realStoreDir /mnt/scratch/nix/store · database …/nix/var/nix/db/db.sqlite · daemonSocket
 * …/nix/var/nix/daemon-socket/socket
 *
 * Opens on a machine without a store as well: then each look-up is a fault until one appears.
 */
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'

import { systemClock } from '../../clock.ts'
import { openDaemonConnection } from '../../daemon/daemon-connection.ts'
import type { Fault } from '../../faults.ts'
import type { StoreHealth } from '../health.ts'
import type { Leases, PathsPage, Realisation, Store, StoreObject } from '../store.ts'
import { type Addition, findAdditions, findLastId, findPathOfId, findReferrers } from './additions.ts'
import { BuildLogs } from './build-logs.ts'
import { StoreDatabase } from './database.ts'
import { DerivationSystems } from './derivation-systems.ts'
import { findExpectedOutput } from './expected-outputs.ts'
import { DaemonLeases } from './leases.ts'
import type { LocalStoreOptions } from './local-store-options.ts'
import { findRealisation } from './realisations.ts'
import { StoreRecords } from './store-records.ts'
import { Withdrawals } from './withdrawals.ts'

/** `id` identifies one registration of the path: it is never used again, also if the path is removed and added. */
export interface LocalObject extends StoreObject {
  readonly id: number
}

/** Looks everything up at once, without promises. */
export interface LocalStore extends Store, AsyncDisposable {
  find(hashPart: string, fits?: (object: StoreObject) => boolean): LocalObject | undefined
  findRealisation(id: string): Realisation | undefined
  referrersOf(storePath: string, limit: number): readonly string[]
  /**
   * The highest id that a path of this store was ever given: what is added later has a higher one. @throws {Fault}
   * store-unavailable
   */
  lastId(): number
  /**
   * Paths that became valid after the one with this id, at most 1000, the oldest first. @throws {Fault}
   * store-unavailable
   */
  addedAfter(id: number): readonly Addition[]
  /** The valid path with this id. @throws {Fault} store-unavailable */
  pathOfId(id: number): string | undefined
  /**
   * The output with this hash part that a derivation of this store would have, built or not. @throws {Fault}
   * store-unavailable
   */
  expectedOutput(hashPart: string): string | undefined
}

/** Never rejects for a store that is absent or unreadable: `health` and the log say so. */
export async function openLocalStore(options: LocalStoreOptions): Promise<LocalStore> {
  const store = new NixStore(options)
  await store.open()
  return store
}

const daemonTimeoutMs = 2000

class NixStore implements LocalStore {
  readonly name = 'nix'
  readonly storeDir: string
  readonly leases: Leases
  readonly #realStoreDir: string
  readonly #database: StoreDatabase
  readonly #records: StoreRecords
  readonly #leases: DaemonLeases
  readonly #withdrawals: Withdrawals
  readonly #logs: BuildLogs
  readonly #systems = new DerivationSystems()

  constructor(options: LocalStoreOptions) {
    const { storeDir, realStoreDir, database, leases, log, clock = systemClock, random = Math.random } = options
    const { stateDir = dirname(dirname(database)) } = options
    const { logDir = join(dirname(stateDir), 'log/nix'), decompressors = {} } = options
    const socketPath = 'daemonSocket' in options ? options.daemonSocket : join(stateDir, 'daemon-socket/socket')
    this.storeDir = storeDir
    this.#realStoreDir = realStoreDir
    this.#database = new StoreDatabase({
      file: database,
      log,
      now: clock.now,
      ...(socketPath !== undefined && {
        holdDaemonConnection: () =>
          openDaemonConnection({ socketPath, clock, timeoutMs: daemonTimeoutMs }).catch(() => undefined),
      }),
    })
    this.#records = new StoreRecords(this.#database, storeDir, log)
    this.#leases = new DaemonLeases({ socketPath, ...leases, log, clock, random })
    this.leases = this.#leases
    this.#withdrawals = new Withdrawals({
      log,
      now: clock.now,
      realPathOf: (storePath) => this.#realPathOf(storePath),
      findRecord: (storePath) => this.#records.find(storePath),
    })
    this.#logs = new BuildLogs(logDir, decompressors, log)
  }

  open(): Promise<void> {
    return this.#database.open()
  }

  generation(): number {
    const generation = this.#database.generation()
    this.#withdrawals.review()
    // Both only ever grow.
    return generation + this.#withdrawals.changes
  }

  find(hashPart: string, fits?: (object: StoreObject) => boolean): LocalObject | undefined {
    this.#database.generation()
    const record = this.#records.findByHashPart(hashPart)
    if (record === undefined || this.#withdrawals.covers(record)) return undefined
    const object: LocalObject = {
      id: record.id,
      info: record.info,
      form: { kind: 'tree', realPath: this.#realPathOf(record.info.storePath) },
      store: this,
      trust: 'ours',
    }
    return fits === undefined || fits(object) ? object : undefined
  }

  findSystem(deriver: string): string | undefined {
    const record = this.#records.find(deriver)
    return record && !this.#withdrawals.covers(record)
      ? this.#systems.find(deriver, this.#realPathOf(deriver))
      : undefined
  }

  withdraw({ info }: StoreObject, fault: Fault): void {
    this.#withdrawals.withdraw(info, fault)
  }

  openLog(drvBaseName: string): Promise<Readable | undefined> {
    return this.#logs.openLog(drvBaseName)
  }

  findRealisation(id: string): Realisation | undefined {
    this.#database.generation()
    return this.#database.use((connection) => findRealisation(connection, id, this.storeDir))
  }

  lastId(): number {
    this.#database.generation()
    return this.#database.use(findLastId)
  }

  addedAfter(id: number): readonly Addition[] {
    this.#database.generation()
    return this.#database.use((connection) => findAdditions(connection, id, this.storeDir))
  }

  pathsAfter(cursor: string): PathsPage {
    const paths = this.addedAfter(Number(cursor))
    return { paths, cursor: String(paths.at(-1)?.id ?? cursor) }
  }

  referrersOf(storePath: string, limit: number): readonly string[] {
    this.#database.generation()
    return this.#database.use((connection) => findReferrers(connection, storePath, limit, this.storeDir))
  }

  pathOfId(id: number): string | undefined {
    this.#database.generation()
    return this.#database.use((connection) => findPathOfId(connection, id))
  }

  expectedOutput(hashPart: string): string | undefined {
    this.#database.generation()
    return this.#database.use((connection) => findExpectedOutput(connection, hashPart, this.storeDir))
  }

  health(): StoreHealth {
    const { access, problem } = this.#database.health()
    return {
      name: this.name,
      type: 'nix',
      location: this.#realStoreDir,
      isReadable: access !== 'none',
      mode: access,
      problem,
      withdrawn: { now: this.#withdrawals.count, total: this.#withdrawals.total },
      leases: this.#leases.health(),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leases[Symbol.dispose]()
    this.#database[Symbol.dispose]()
  }

  #realPathOf(storePath: string): string {
    return this.#realStoreDir + storePath.slice(this.storeDir.length)
  }
}
