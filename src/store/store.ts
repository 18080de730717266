/**
 * The port through which the cache sees store objects. `local-store.ts` (this machine's Nix store) is the first adapter.
 * Lookups are synchronous: they take microseconds and must be coherent with the answer given in the same event-loop turn.
 */
import type { Readable } from 'node:stream'

import type { Fault } from '../faults.ts'
import type { PathInfo } from '../nix/path-info.ts'

export interface Store {
  /** The logical store directory, `/nix/store` nearly always: what clients see and fingerprints contain. */
  readonly storeDir: string

  /**
   * A number that stands still only as long as no path was added, changed, removed, withdrawn or reinstated.
   * Whoever remembers anything derived from a `PathInfo` compares it before each use. It asks the database at most
   * once per event-loop turn, so it costs next to nothing when called for every request.
   * @throws {Fault} store-unavailable
   */
  generation(): number

  /**
   * The valid store object with this hash part (32 Nix32 characters, already validated), or `undefined`
   * when there is none or it is withdrawn. Row and references come from one transaction.
   * @throws {Fault} store-unavailable
   */
  findPathInfo(hashPart: string): PathInfo | undefined

  /**
   * The system a derivation builds for (`x86_64-linux`): read from the `.drv` file by `parseDerivationSystem` when the derivation (absolute store path) is valid here; else undefined.
   * Synchronous (one small file, remembered); never throws for a file that cannot be read.
   */
  findSystem(deriver: string): string | undefined

  /** Where the files of a store path really lie: an absolute path in the file system. Does not touch the disk. */
  realPathOf(storePath: string): string

  /**
   * Takes a path out of service because its files contradict its record; it stays out until the record changes or the files were replaced.
   * Logs and counts. The path is absent from `findPathInfo` in the very next call.
   */
  withdraw(info: PathInfo, fault: Fault): void

  /** Protection against garbage collection; where it cannot be had (no daemon) every call succeeds and does nothing. */
  readonly leases: Leases

  /** The build log of a derivation (base name `<hash part>-<name>.drv`), decoded to plain text; `undefined` when there is none. */
  openLog(drvBaseName: string): Promise<Readable | undefined>

  /**
   * The realisation `sha256:<64 hex>!<output>` as the JSON value of a `.doi` file, or `undefined`.
   * @throws {Fault} store-unavailable
   */
  findRealisation(id: string): Realisation | undefined
}

/** The JSON of `/realisations/<id>.doi`. */
export interface Realisation {
  readonly dependentRealisations: Readonly<Record<string, string>>
  readonly id: string
  /** Base name of the store path. */
  readonly outPath: string
  readonly signatures: readonly string[]
}

export interface Leases {
  /** True while a lease on this path is held that will last at least half the lease time: no need to `take` one. Synchronous and cheap. True as well when leases cannot be had at all. */
  covers(storePath: string): boolean
  /**
   * Takes (or renews) a temporary root that lasts at least the configured time. Resolves when the daemon has acknowledged it, or when it became clear
   * that it will not within a few seconds; never rejects. The caller must look the path up again afterwards: a lease on an absent path succeeds too.
   */
  take(storePath: string): Promise<void>
  /** As `take`, but the lease lasts until the returned function is called (once): for the length of a transfer. */
  hold(storePath: string): Promise<() => void>
}
