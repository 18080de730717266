/** How a depot is opened. */

import type { Clock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { Decompressors } from '../../nar/decompress.ts'
import type { WriterHost } from './host.ts'
import type { DepotPolicy } from './types.ts'
import type { WriterLink } from './writer-messages.ts'
import type { WriterOptions } from './writer-parts.ts'

/** What the depot asks of the local store: to find conflicts, and to adopt references that Nix may collect. */
export type LocalSource = Pick<WriterHost, 'describeLocal' | 'openLocal'>

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
  /**
   * Programs for the compressions that node:zlib cannot read: for listings and for clients that want the NAR itself.
   */
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
  readonly startWriter?: (options: WriterOptions, host: WriterHost, log: Log) => Promise<WriterLink>
  readonly pid: number
}

export const noLocal: LocalSource = {
  describeLocal: async (storePaths) => storePaths.map(() => undefined),
  openLocal: async () => undefined,
}
