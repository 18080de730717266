/**
 * This machine's Nix store: records from its SQLite database, files from the real store directory, leases from its daemon.
 *
 *   storeDir /nix/store · realStoreDir /mnt/scratch/nix/store · database …/nix/var/nix/db/db.sqlite · daemonSocket …/nix/var/nix/daemon-socket/socket
 *
 * Opens on a machine without a store as well: then each look-up is a fault until one appears.
 * Records that Nix would not write (foreign paths, no hash, no size, as rows of very old versions have) count as absent.
 */
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'

import type { Fault } from '../faults.ts'
import type { Log } from '../log.ts'
import type { PathInfo } from '../nix/path-info.ts'
import { hashPartOf } from '../nix/store-path.ts'
import { BuildLogs } from './build-logs.ts'
import { type Clock, systemClock } from './clock.ts'
import { openDaemonConnection } from './daemon-connection.ts'
import { type DatabaseHealth, StoreDatabase } from './database.ts'
import { type StoreRecord, type StoreRow, toStoreRecord } from './database-row.ts'
import { DerivationSystems } from './derivation-systems.ts'
import { DaemonLeases, type LeasesHealth } from './leases.ts'
import { findRealisation } from './realisations.ts'
import type { Leases, Realisation, Store } from './store.ts'
import { Withdrawals } from './withdrawals.ts'

export interface LocalStoreOptions {
  /** Logical, without a trailing slash. */
  readonly storeDir: string
  /** Where the files lie. */
  readonly realStoreDir: string
  /** `<stateDir>/db/db.sqlite` */
  readonly database: string
  /** By default that of the database. */
  readonly stateDir?: string
  /** By default `log/nix` beside the state directory (`/nix/var/nix` -> `/nix/var/log/nix`). */
  readonly logDir?: string
  /** By default `<stateDir>/daemon-socket/socket`; `undefined` given: no daemon, no leases. */
  readonly daemonSocket?: string | undefined
  readonly leases: {
    /** How long a path stays protected after its narinfo was served; 0 for never. */
    readonly narInfoSeconds: number
    readonly maxPaths: number
  }
  readonly log: Log
  readonly clock?: Clock
  /** 0 (inclusive) to 1. */
  readonly random?: () => number
}

export interface LocalStoreHealth {
  readonly database: DatabaseHealth
  readonly leases: LeasesHealth
  /** Paths out of service, and how many were taken out since the start. */
  readonly withdrawn: { readonly now: number; readonly total: number }
}

export interface LocalStore extends Store, AsyncDisposable {
  health(): LocalStoreHealth
}

/** Never rejects for a store that is absent or unreadable; `health` and the log tell. */
export async function openLocalStore(options: LocalStoreOptions): Promise<LocalStore> {
  const store = new NixStore(options)
  await store.open()
  return store
}

const daemonTimeoutMs = 2000
/** Unservable records that were reported, so that the log does not repeat them with every request. */
const maxReported = 1000

class NixStore implements LocalStore {
  readonly storeDir: string
  readonly leases: Leases
  readonly #realStoreDir: string
  readonly #log: Log
  readonly #database: StoreDatabase
  readonly #leases: DaemonLeases
  readonly #withdrawals: Withdrawals
  readonly #logs: BuildLogs
  readonly #systems = new DerivationSystems()
  readonly #reported = new Set<string>()

  constructor(options: LocalStoreOptions) {
    const { storeDir, realStoreDir, database, leases, log, clock = systemClock, random = Math.random } = options
    const { stateDir = dirname(dirname(database)) } = options
    const { logDir = join(dirname(stateDir), 'log/nix') } = options
    const socketPath = 'daemonSocket' in options ? options.daemonSocket : join(stateDir, 'daemon-socket/socket')
    this.storeDir = storeDir
    this.#realStoreDir = realStoreDir
    this.#log = log
    this.#database = new StoreDatabase({
      file: database,
      log,
      now: clock.now,
      ...(socketPath !== undefined && {
        holdDaemonConnection: () => openDaemonConnection({ socketPath, clock, timeoutMs: daemonTimeoutMs }).catch(() => undefined),
      }),
    })
    this.#leases = new DaemonLeases({ socketPath, ...leases, log, clock, random })
    this.leases = this.#leases
    this.#withdrawals = new Withdrawals({
      log,
      now: clock.now,
      realPathOf: (storePath) => this.realPathOf(storePath),
      findRecord: (storePath) => this.#findRecord(storePath),
    })
    this.#logs = new BuildLogs(logDir, clock)
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

  findPathInfo(hashPart: string): PathInfo | undefined {
    this.#database.generation()
    const record = this.#findRecordByHashPart(hashPart)
    return record && !this.#withdrawals.covers(record) ? record.info : undefined
  }

  findSystem(deriver: string): string | undefined {
    const record = this.#findRecord(deriver)
    return record && !this.#withdrawals.covers(record) ? this.#systems.find(deriver, this.realPathOf(deriver)) : undefined
  }

  realPathOf(storePath: string): string {
    if (!storePath.startsWith(`${this.storeDir}/`)) throw new Error(`Cannot locate "${storePath}": it is not in "${this.storeDir}"`)
    return this.#realStoreDir + storePath.slice(this.storeDir.length)
  }

  withdraw(info: PathInfo, fault: Fault): void {
    this.#withdrawals.withdraw(info, fault)
  }

  openLog(drvBaseName: string): Promise<Readable | undefined> {
    return this.#logs.openLog(drvBaseName)
  }

  findRealisation(id: string): Realisation | undefined {
    this.#database.generation()
    return this.#database.use((connection) => findRealisation(connection, id, this.storeDir))
  }

  health(): LocalStoreHealth {
    return {
      database: this.#database.health(),
      leases: this.#leases.health(),
      withdrawn: { now: this.#withdrawals.count, total: this.#withdrawals.total },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leases[Symbol.dispose]()
    this.#database[Symbol.dispose]()
  }

  #findRecord(storePath: string): StoreRecord | undefined {
    const record = this.#findRecordByHashPart(hashPartOf(storePath))
    return record?.info.storePath === storePath ? record : undefined
  }

  #findRecordByHashPart(hashPart: string): StoreRecord | undefined {
    // "." follows "-" in ASCII: between the bounds lies what begins with the hash part and a dash.
    const start = `${this.storeDir}/${hashPart}`
    const row = this.#readRow(`${start}-`, `${start}.`)
    if (!row) return undefined
    const record = toStoreRecord(row, this.storeDir)
    if (typeof record === 'object') return record
    this.#report(start, record)
    return undefined
  }

  #readRow(from: string, below: string): StoreRow | undefined {
    try {
      return this.#database.use((connection) => connection.pathInfoRow(from, below)) as StoreRow | undefined
    } catch (error) {
      // An integer that no JavaScript number can hold.
      if ((error as NodeJS.ErrnoException).code !== 'ERR_OUT_OF_RANGE') throw error
      this.#report(from, 'a number is out of range')
      return undefined
    }
  }

  #report(start: string, reason: string): void {
    if (this.#reported.has(start)) return
    if (this.#reported.size >= maxReported) this.#reported.clear()
    this.#reported.add(start)
    this.#log.warn({ record: start, reason }, 'A record of the store database cannot be served: it counts as absent')
  }
}
