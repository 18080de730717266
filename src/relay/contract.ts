/** What a relay needs of the program around it, and what it says of itself. */
import type { Server } from 'node:http'

import type { Log } from '../log.ts'
import type { Decompressors } from '../nar/decompress.ts'
import type { StoreObject } from '../store/store.ts'
import type { MayConnect, RelayUploads } from './relay-server.ts'
import type { RelayTotals } from './totals.ts'

export interface RelayOptions {
  /** Without credentials. */
  readonly url: URL
  /** The `Authorization` header; undefined for a public cache. Read for each request. */
  readonly authorization: () => string | undefined
  readonly storeDir: string
  readonly version: string
  /** A download is given up after this time without a byte. */
  readonly patienceMs: number
  readonly decompressors: Decompressors
  /** True if this machine's store has the path. */
  readonly isHere: (storePath: string) => boolean
  /** A store object of this machine, as the base of a delta; undefined: no deltas are asked for. */
  readonly findLocal?: (hashPart: string) => StoreObject | undefined
  /** Undefined: nothing can be pushed. */
  readonly uploads?: RelayUploads
  /** Who may connect; everybody on this machine by default. */
  readonly mayConnect?: MayConnect
  /** What an earlier relay had counted. */
  readonly earlier?: RelayTotals
  readonly log: Log
}

export interface RelayStatus extends RelayTotals {
  readonly url: string
  /** Why the far end cannot be reached; null if it can. */
  readonly problem: string | null
  readonly storeDir: string
  readonly startedAt: string
  readonly nars: RelayTotals['nars'] & { readonly underWay: number }
}

export interface Relay extends Disposable {
  /** A server that answers for this relay; the caller lets it listen on loopback, and closes it. */
  createServer(): Server
  readonly status: RelayStatus
}
