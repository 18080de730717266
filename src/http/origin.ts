/**
 * What every route has at hand: where store objects come from, how they are packed and kept, and the few rules all
 * replies share.
 */
import { condemnsStoreObject, Fault, type FaultCode } from '../faults.ts'
import type { Larder } from '../larder/larder.ts'
import type { Log } from '../log.ts'
import type { Packer } from '../nar/contract.ts'
import { hashPartOf } from '../nix/store-path.ts'
import type { StoreObject, Stores } from '../store/store.ts'
import type { Illness } from './illness.ts'
import type { Catalogue } from './narinfo/catalogue.ts'
import type { FairQueue } from './queue/fair-queue.ts'
import type { Reply } from './reply.ts'

export interface Limits {
  /** Connections to the public listener. */
  readonly connections: number
  /** Bytes of a request's header. */
  readonly headerBytes: number
  /** A request's header must be there within this time. */
  readonly headersSeconds: number
  /** A transfer which makes no progress for so long is cut. */
  readonly stallSeconds: number
  /** NARs on their way at once; no client gets more than three quarters. */
  readonly concurrentNars: number
  /** Requests that wait for one of those places. */
  readonly waitingNars: number
  /** They wait no longer than this, nor than half of `firstByteSeconds`. */
  readonly queueSeconds: number
  /** A reply that needs longer than this to begin is postponed; the edge gives up after 100. */
  readonly firstByteSeconds: number
}

export const defaultLimits: Limits = {
  connections: 4096,
  headerBytes: 16 * 1024,
  headersSeconds: 20,
  stallSeconds: 300,
  concurrentNars: 1024,
  waitingNars: 1024,
  queueSeconds: 20,
  firstByteSeconds: 75,
}

/** The page at `/`. */
export interface IndexPage {
  readonly contentType: string
  readonly body: Uint8Array | string
}

export interface Origin {
  readonly stores: Stores
  readonly packer: Packer
  /** Undefined where NARs are served uncompressed. */
  readonly larder: Larder | undefined
  readonly catalogue: Catalogue
  /** The places of NARs on their way. */
  readonly transfers: FairQueue
  readonly limits: Limits
  readonly log: Log
  readonly illness: Illness
  /** Calls back after so many milliseconds, unless the result is called before. */
  after(ms: number, callback: () => void): () => void
}

/**
 * Takes an object out of service whose bytes contradict its record, unless it was merely collected meanwhile: Nix
 * deletes the record before the files. It is looked up again: it may have been registered anew since. Any other error
 * leaves it alone. Rejects with the fault store-unavailable.
 */
export async function withdrawIfCondemned({ info, store }: StoreObject, error: unknown): Promise<void> {
  if (!condemnsStoreObject(error)) return
  const current = await store.find(hashPartOf(info.storePath))
  if (current?.info.narHash === info.narHash) store.withdraw(current, error)
}

/** Answers a fault met while a store object was read. */
export async function answerReadError(
  origin: Origin,
  reply: Reply,
  object: StoreObject,
  error: unknown,
): Promise<void> {
  try {
    await withdrawIfCondemned(object, error)
  } catch (unavailable) {
    return answerError(origin, reply, unavailable)
  }
  answerError(origin, reply, error)
}

/**
 * The one table from faults to statuses. What passes by itself is 503, since clients try again; a store object that is
 * not to be served is absent.
 */
const statusByFault: Readonly<Record<Exclude<FaultCode, 'store-unavailable'>, 404 | 503>> = {
  'nar-mismatch': 404,
  'nar-changed': 404,
  'nar-unreadable': 404,
  absent: 404,
  busy: 503,
  abandoned: 503,
  'larder-unwritable': 503,
  'larder-damaged': 503,
  'delta-unusable': 404,
}

/**
 * Answers a fault or a bug; after headers were sent the transfer is broken. The reply says nothing of the cause, the
 * log everything.
 */
export function answerError({ log, illness }: Pick<Origin, 'log' | 'illness'>, reply: Reply, error: unknown): void {
  if (!(error instanceof Fault)) {
    log.error({ err: error, route: reply.route, target: reply.target }, 'Answered 500: this is a bug in Burrow')
    return reply.refuse(500)
  }
  const status = error.code === 'store-unavailable' ? illness.status() : statusByFault[error.code]
  // A client that went away is its own business; the store adapter reports its illness once, not with every request.
  log.debug({ err: error, code: error.code, route: reply.route, target: reply.target }, 'Could not answer a request')
  if (status === 404) reply.refuse(404)
  else reply.postpone(error.code === 'busy' ? 5 : 15)
}
