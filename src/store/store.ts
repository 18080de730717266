/**
 * The port through which the cache sees store objects. Each adapter has a folder: `nix/` (this machine's Nix store),
 * `directory/` (a binary cache folder). `stores.ts` makes one store of several.
 */
import type { Readable } from 'node:stream'

import type { ByteRange, ChunkReader } from '../chunks.ts'
import type { Fault } from '../faults.ts'
import type { Compression } from '../nix/nar-info.ts'
import type { PathInfo } from '../nix/path-info.ts'
import type { StoreHealth } from './health.ts'

/** A value, or a promise of one where the answer comes over a network. The hot path awaits only what is a promise. */
export type Awaitable<T> = T | Promise<T>

/** A file tree: the packer makes the NAR from it. */
export interface TreeForm {
  readonly kind: 'tree'
  /** Absolute path of a file, symlink or directory. */
  readonly realPath: string
}

/** A NAR that is stored already, perhaps compressed. */
export interface FileForm {
  readonly kind: 'file'
  readonly compression: Compression
  /**
   * Names the stored bytes: 52 Nix32 characters, the hash of the file where it is known. It is part of the NAR's URL.
   */
  readonly id: string
  /** `sha256:<52 Nix32>` of the stored bytes; undefined while it is not known. */
  readonly fileHash: string | undefined
  /** Bytes as stored; undefined while it is not known. */
  readonly fileSize: number | undefined
  /** Waits until the size is known; only called while it is not. Rejects as `open` does. */
  settle(): Promise<number>
  /**
   * The stored bytes, or a range of them. The adapter answers for their being right: a reader of the whole hands out
   * its last chunk only after the hash was found right, and a range comes from a file that was found right. Rejects
   * with the fault nar-mismatch, nar-changed, nar-unreadable, store-unavailable or busy.
   */
  open(range?: ByteRange): Promise<ChunkReader>
  /**
   * The NAR itself, decompressed. Rejects as `open` does, and with nar-unreadable for a compression that cannot be read
   * here.
   */
  openNar(): Promise<ChunkReader>
  /** The `.ls` file as JSON ready to be sent. Rejects as `openNar` does. */
  list(): Promise<Uint8Array>
}

export type NarForm = TreeForm | FileForm

export interface StoreObject {
  readonly info: PathInfo
  readonly form: NarForm
  /** Who has it: leases and withdrawals of this object go there. */
  readonly store: Store
  /**
   * `ours`: this cache signs it. `as-signed`: its contents were not verified here, so it goes out with the signatures
   * it came with and no others.
   */
  readonly trust: 'ours' | 'as-signed'
}

/** What is asked of one store and of several alike. */
export interface Lookup {
  /** The logical store directory, `/nix/store` nearly always: what clients see and fingerprints contain. */
  readonly storeDir: string

  /**
   * A number that stays the same only while no path was added, changed, removed, withdrawn or reinstated among those
   * that `find` returns without a promise. Compare it before each use of anything remembered about such a path. It
   * costs next to nothing when called for every request.
   * @throws {Fault} store-unavailable
   */
  generation(): number

  /**
   * The valid store object with this hash part (32 Nix32 characters, already validated), or `undefined` when there is
   * none or it is withdrawn. With `fits`, an object for which it returns false counts as absent, so that of several
   * stores the next is asked.
   * @throws {Fault} store-unavailable; a promise rejects with it
   */
  find(hashPart: string, fits?: (object: StoreObject) => boolean): Awaitable<StoreObject | undefined>

  /**
   * The system a derivation builds for (`x86_64-linux`), when the derivation (absolute store path) is valid here and
   * its file can be read; else undefined. Synchronous (one small file, remembered); never throws for a file that cannot
   * be read.
   */
  findSystem(deriver: string): string | undefined

  /**
   * The build log of a derivation (base name `<hash part>-<name>.drv`), decoded to plain text; `undefined` when there
   * is none.
   */
  openLog(drvBaseName: string): Promise<Readable | undefined>

  /**
   * The realisation `sha256:<64 hex>!<output>` as the JSON value of a `.doi` file, or `undefined`.
   * @throws {Fault} store-unavailable; a promise rejects with it
   */
  findRealisation(id: string): Awaitable<Realisation | undefined>
}

export interface PathsPage {
  readonly paths: readonly ListedPath[]
  readonly cursor: string
}

export interface ListedPath {
  readonly storePath: string
  /** Unix time in seconds. */
  readonly registrationTime: number
}

/** One adapter. */
export interface Store extends Lookup {
  /** For logs, metrics and status: `nix`, `directory:/srv/cache`. Unique among the stores of a cache. */
  readonly name: string

  /**
   * Takes an object out of service because its bytes contradict its record; it stays out until the record changes or
   * the bytes were replaced. Logs and counts. The path is absent from `find` in the very next call.
   */
  withdraw(object: StoreObject, fault: Fault): void

  /**
   * A page of the paths that are here, for an index kept elsewhere. Begin with the cursor `''` and continue with the
   * one returned. A page without paths whose cursor did not move is the end for now: the same cursor later brings what
   * was added since. Undefined where paths cannot be listed.
   * @throws {Fault} store-unavailable
   */
  pathsAfter?(cursor: string): PathsPage

  /**
   * Valid paths that refer to this one, without itself; at most `limit`, in no particular order. Undefined where that is
   * not known.
   * @throws {Fault} store-unavailable
   */
  referrersOf?(storePath: string, limit: number): readonly string[]

  /** Protection against garbage collection; where it cannot be had every call succeeds and does nothing. */
  readonly leases: Leases

  health(): StoreHealth
}

/** Several as one; see stores.ts. */
export interface Stores extends Lookup {
  /** In the order in which they are asked. */
  health(): readonly StoreHealth[]
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
  /**
   * True while a lease on this path is held that will last at least half the lease time: no need to `take` one.
   * Synchronous and cheap. True as well when leases cannot be had at all.
   */
  covers(storePath: string): boolean
  /**
   * Takes (or renews) a lease that lasts at least the configured time. Resolves when it is held, or when it became
   * clear that it cannot be had within a few seconds; never rejects. Look the path up again afterwards: a lease on an
   * absent path succeeds too.
   */
  take(storePath: string): Promise<void>
  /** As `take`, but the lease lasts until the returned function is called (once): for the length of a transfer. */
  hold(storePath: string): Promise<() => void>
}

/** Of a store that deletes nothing by itself. */
export const noLeases: Leases = { covers: () => true, take: async () => {}, hold: async () => () => {} }
