/** How a store is doing, for status, metrics and `burrow doctor`. */

import type { PublishedHealth } from './publish/policy.ts'

/** How a store is doing, for status, metrics and `burrow doctor`. */
export interface StoreHealth {
  readonly name: string
  readonly type: 'nix' | 'directory' | 'depot' | 'upstream'
  /** Location of its objects: a directory, or a URL without credentials. */
  readonly location: string
  readonly isReadable: boolean
  /** How it is read, in a word of the adapter's own: for logs and diagnosis. */
  readonly mode: string | undefined
  /** Why it cannot be read, or only in part; undefined when all is well. */
  readonly problem: string | undefined
  /** Paths out of service now, and how many were taken out since the start. */
  readonly withdrawn: { readonly now: number; readonly total: number }
  /** Protection from garbage collection; undefined where the store needs none. */
  readonly leases: LeasesHealth | undefined
  /** Of the depot alone. */
  readonly depot?: DepotHealth | undefined
  /** Of a store of which only some paths are published. */
  readonly published?: PublishedHealth | undefined
  /** Of an upstream alone. */
  readonly upstream?: UpstreamHealth | undefined
}

/** Counted since the start. A narinfo that is remembered from an earlier lookup is not counted. */
export interface UpstreamHealth {
  /** Narinfos that the upstream was asked for: `hits`, `misses`, `failures`, and those still without an answer. */
  readonly lookups: number
  readonly hits: number
  /** Absent there, or not accepted: malformed, or without a trusted signature. */
  readonly misses: number
  /** No answer, or an unexpected one. */
  readonly failures: number
  /** Lookups answered as absent without asking: the circuit breaker is open, or too many are under way. */
  readonly skipped: number
  readonly isBreakerOpen: boolean
  /** Bytes of NAR files, compressed as the upstream has them. */
  readonly receivedBytes: number
}

/** What was pushed, and what room there is for more. */
export interface DepotHealth {
  readonly objects: number
  readonly nars: number
  /** NARs whose file is missing or wrong: out of service until they are pushed again. */
  readonly damaged: number
  readonly pins: number
  readonly unfinishedUploads: number
  readonly unfinishedBytes: number
  readonly usedBytes: number
  readonly maxBytes: number
  /** What the disk has left, down to `keepFree`. */
  readonly freeBytes: number
  readonly pushedToday: readonly { readonly user: string; readonly bytes: number }[]
  /** Paths refused since midnight (UTC), conflicts included. */
  readonly refusedToday: number
  /** Reason of the last push that failed because the disk was full. */
  readonly shortage: string | undefined
  /** What the start found after the run before. */
  readonly recovered: { readonly sweptFiles: number; readonly lostNars: number }
}

export interface LeasesHealth {
  /** False without a daemon: paths are served, but a garbage collection may come between. */
  readonly active: boolean
  readonly connections: number
  /** Temporary roots, those about to run out included. */
  readonly roots: number
  /** Paths of transfers under way. */
  readonly held: number
}
