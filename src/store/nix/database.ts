/**
 * The store's database, kept open read-only for as long as the program runs: opened when it appears, opened again when
 * it was replaced, and never written. No write of another process is missed: `generation` moves with every commit, as `PRAGMA
 * data_version` shows.
 *
 * A reader who may not make a missing `-shm` asks for an idle daemon connection, whose process has the store open and
 * so makes the file; once open, our own lock keeps it. Without a daemon the `still` way of database-connection.ts
 * serves.
 */
import { Fault } from '../../faults.ts'
import type { Log } from '../../log.ts'
import { type ConnectionKind, DatabaseConnection, Disturbed } from './database-connection.ts'
import { type Diagnosis, diagnose, isOfTheDatabase, lacksSharedMemory } from './database-diagnosis.ts'

export interface StoreDatabaseOptions {
  /** `…/db/db.sqlite` */
  readonly file: string
  readonly log: Log
  /** Milliseconds of a steady clock. */
  readonly now: () => number
  /** Connects to the daemon and stays so until disposed of; undefined where there is none. Never rejects. */
  readonly holdDaemonConnection?: () => Promise<Disposable | undefined>
}

export interface DatabaseHealth {
  /** How the database is read at the moment: see database-connection.ts. */
  readonly access: ConnectionKind | 'none'
  /** Why it cannot be read. */
  readonly problem: string | undefined
}

/** While the database cannot be opened, requests try it at most once in this time. */
const retryMs = 1000
/** An idle daemon connection that did not help is not asked for again before this. */
const daemonRetryMs = 30_000
/** A writer may come or go between two looks at the files; three times in a row means that it is busy. */
const maxTries = 3

const noStoreYet =
  'There is no Nix store on this machine yet: Burrow runs, but has no paths to serve. Install Nix, or set "store.database"; the store is then found without a restart'

export class StoreDatabase implements Disposable {
  readonly #options: StoreDatabaseOptions
  #connection: DatabaseConnection | undefined
  #problem: { readonly fault: Fault; readonly kind: Diagnosis['kind']; readonly retryAtMs: number } | undefined
  #generation = 0
  #dataVersion = 0
  #isFresh = false
  #isDisposed = false
  #daemonWaitUntilMs = Number.NEGATIVE_INFINITY
  #upgrade: Promise<void> | undefined
  readonly #endTurn = (): void => {
    this.#isFresh = false
  }

  constructor(options: StoreDatabaseOptions) {
    this.#options = options
  }

  /**
   * Opens the database if it can be opened, with a daemon's help if need be. Resolves in any case: what is wrong is
   * logged, and tried again by each call.
   */
  async open(): Promise<void> {
    try {
      this.generation()
    } catch {
      // Logged, and thrown again for the request that needs the database.
    }
    await this.#upgrade
  }

  /**
   * Does not change while nothing was committed. Asks the database once in a turn of the event loop: whatever
   * request the turn answers had begun to arrive when the turn began, so a commit that came before the request is
   * always seen.
   * @throws {Fault} store-unavailable
   */
  generation(): number {
    if (this.#isFresh) return this.#generation
    const known = this.#connection
    // The files of one that is opened here are not looked at again: during a checkpoint that would disturb it over and
    // over.
    const version = this.use((connection) => (connection === known ? connection.pulse() : connection.dataVersion()))
    if (version !== this.#dataVersion) {
      this.#dataVersion = version
      this.#generation++
    }
    this.#isFresh = true
    setImmediate(this.#endTurn)
    return this.#generation
  }

  /** Runs a query, again if the database was replaced or a writer interfered. @throws {Fault} store-unavailable */
  use<T>(query: (connection: DatabaseConnection) => T): T {
    let failure: unknown
    for (let tries = 0; tries < maxTries; tries++) {
      try {
        return query(this.#connection ?? this.#connect())
      } catch (error) {
        if (!isOfTheDatabase(error)) throw error
        this.#disconnect()
        failure = error
        // A lock has been waited for already, with the event loop.
        if (!(error instanceof Disturbed) && tries > 0) break
      }
    }
    throw this.#fail(failure)
  }

  health(): DatabaseHealth {
    return { access: this.#connection?.kind ?? 'none', problem: this.#problem?.fault.message }
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#disconnect()
  }

  #connect(): DatabaseConnection {
    if (this.#isDisposed) throw new Fault('store-unavailable', 'Cannot read the store database: it was closed')
    if (this.#problem && this.#options.now() < this.#problem.retryAtMs) throw this.#problem.fault
    const { file } = this.#options
    try {
      return this.#adopt(new DatabaseConnection(file, 'live'))
    } catch (error) {
      const hasNoLog = error instanceof Disturbed
      if (!hasNoLog && !lacksSharedMemory(error)) throw error
      if (!hasNoLog) this.#askDaemon()
      return this.#adopt(openStill(file, error))
    }
  }

  #adopt(connection: DatabaseConnection): DatabaseConnection {
    this.#connection = connection
    // A connection of its own counts versions of its own.
    this.#dataVersion = connection.dataVersion()
    this.#generation++
    const fields = { database: this.#options.file, access: connection.kind }
    if (this.#problem || this.#generation === 1) this.#options.log.info(fields, 'Store database is open')
    else this.#options.log.debug(fields, 'Store database was opened again')
    this.#problem = undefined
    return connection
  }

  #disconnect(): void {
    this.#connection?.[Symbol.dispose]()
    this.#connection = undefined
    this.#isFresh = false
  }

  #fail(error: unknown): Fault {
    if (error instanceof Fault) return error
    const { file, log, now } = this.#options
    const { kind, message } = diagnose(file, error)
    const fault = new Fault('store-unavailable', message, { cause: error })
    // Nothing broke on a machine that has no store yet: one sentence, and no alarm.
    if (this.#problem === undefined && kind === 'missing' && this.#generation === 0)
      log.warn({ database: file, problem: kind }, noStoreYet)
    else if (this.#problem?.kind !== kind) log.error({ database: file, problem: kind }, message)
    this.#problem = { fault, kind, retryAtMs: now() + retryMs }
    return fault
  }

  /** Reopens the database as soon as a daemon has it open, so that the missing files are there. */
  #askDaemon(): void {
    const { holdDaemonConnection, now, file } = this.#options
    if (!holdDaemonConnection || this.#upgrade || now() < this.#daemonWaitUntilMs) return
    this.#daemonWaitUntilMs = now() + daemonRetryMs
    this.#upgrade = (async () => {
      using daemon = await holdDaemonConnection()
      if (!daemon || this.#isDisposed || this.#connection?.kind === 'live') return
      try {
        const live = new DatabaseConnection(file, 'live')
        this.#disconnect()
        this.#adopt(live)
      } catch {
        // No worse than before.
      }
    })().finally(() => {
      this.#upgrade = undefined
    })
  }
}

function openStill(file: string, cause: unknown): DatabaseConnection {
  try {
    return new DatabaseConnection(file, 'still')
  } catch (error) {
    // That it is being written is the lesser half of the story when the log cannot be read.
    throw error instanceof Disturbed && lacksSharedMemory(cause) ? cause : error
  }
}
