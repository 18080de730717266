/** The store port that the depot fits; to be replaced by imports from `../store.ts`. */
import type { Readable } from 'node:stream'

import type { ChunkReader } from '../../chunks.ts'
import type { Fault } from '../../faults.ts'
import type { ByteRange } from '../../chunks.ts'
import type { Compression } from '../../nix/nar-info.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import type { Leases, Realisation } from '../store.ts'

export type NarForm =
  | { readonly kind: 'tree'; readonly realPath: string }
  | {
      readonly kind: 'file'
      readonly compression: Compression
      readonly fileHash: string
      readonly fileSize: number
      open(range?: ByteRange): Promise<ChunkReader>
    }

export interface StoreObject<StoreType = unknown> {
  readonly info: PathInfo
  readonly form: NarForm
  readonly store: StoreType
  readonly trust: 'ours' | 'as-signed'
}

export interface DepotStore {
  readonly name: string
  readonly storeDir: string
  generation(): number
  find(hashPart: string): StoreObject<DepotStore> | undefined
  withdraw(object: StoreObject<DepotStore>, fault: Fault): void
  readonly leases: Leases
  health(): DepotHealth
  readonly logs: { openLog(drvBaseName: string): Promise<Readable | undefined> }
  readonly realisations: { findRealisation(id: string): Realisation | undefined }
}

export interface DepotHealth {
  readonly kind: 'depot'
  readonly name: string
  readonly objects: number
  readonly nars: number
  /** NARs whose file is missing or wrong: out of service until they are pushed again. */
  readonly damaged: number
  readonly unfinishedUploads: number
  readonly unfinishedBytes: number
  readonly pins: number
  readonly usedBytes: number
  readonly maxBytes: number
  /** What the disk has left, down to `keepFree`. */
  readonly freeBytes: number
  readonly pushedToday: readonly { readonly user: string; readonly bytes: number }[]
  /** Why the last push failed that failed for want of disk space. */
  readonly shortage: string | undefined
  /** What the start found after the run before. */
  readonly recovered: { readonly sweptFiles: number; readonly lostNars: number }
}
