/**
 * What all routes share: the stores, the packer, the larder, limits, and how errors are answered.
 */
import { condemnsStoreObject, Fault, type FaultCode } from '../faults.ts'
import type { Larder } from '../larder/larder.ts'
import type { Log } from '../log.ts'
import type { Packer } from '../nar/contract.ts'
import { hashPartOf } from '../nix/store-path.ts'
import type { StoreObject, Stores } from '../store/store.ts'
import { hasBody } from './has-body.ts'
import type { Catalogue } from './narinfo/catalogue.ts'
import type { FairQueue } from './queue/fair-queue.ts'
import type { Reply } from './reply.ts'
import type { StoreOutage } from './store-outage.ts'

export interface Limits {
  /** Connections to the public listener. */
  readonly connections: number
  /** Bytes of a request's header. */
  readonly headerBytes: number
  /** A request's header must arrive within this time. */
  readonly headersSeconds: number
  /** A transfer without progress for this time is cut off. */
  readonly stallSeconds: number
  /** Concurrent NAR transfers. A single client gets at most three quarters of them. */
  readonly concurrentNars: number
  /** Requests that may wait for a transfer slot. */
  readonly waitingNars: number
  /** They wait at most this long, and at most half of `firstByteSeconds`. */
  readonly queueSeconds: number
  /** A reply that takes longer than this to start becomes a 503; the edge gives up after 100 s. */
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
  /** Undefined when NARs are served uncompressed. */
  readonly larder: Larder | undefined
  readonly catalogue: Catalogue
  /** Limits concurrent NAR transfers. */
  readonly transfers: FairQueue
  readonly limits: Limits
  readonly log: Log
  readonly outage: StoreOutage
  /** Calls back after this time, unless the returned function is called first. */
  after(ms: number, callback: () => void): () => void
}

/**
 * Stops serving an object whose files do not match its record. The object is looked up again first: it may have been
 * garbage-collected (Nix deletes the record before the files) or registered again in the meantime. Other errors have no
 * effect. Rejects with the fault store-unavailable.
 */
export async function withdrawIfCondemned({ info, store }: StoreObject, error: unknown): Promise<void> {
  if (!condemnsStoreObject(error)) return
  const current = await store.find(hashPartOf(info.storePath))
  if (current?.info.narHash === info.narHash) store.withdraw(current, error)
}

/** Answers a request whose store object could not be read. */
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
 * The status for each fault: 503 for temporary faults, since clients try again, and 404 for an object that must not be
 * served.
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
  'users-unwritable': 503,
}

/**
 * Answers a fault or a bug. If the header was already sent, the connection is reset. The cause goes to the log only, not
 * into the reply.
 */
export function answerError({ log, outage }: Pick<Origin, 'log' | 'outage'>, reply: Reply, error: unknown): void {
  if (isCutOff(reply)) {
    log.debug({ err: error, route: reply.route, target: reply.target }, 'A request ended before its body did')
    return reply.refuse(400)
  }
  if (!(error instanceof Fault)) {
    log.error({ err: error, route: reply.route, target: reply.target }, 'Answered 500: this is a bug in Burrow')
    return reply.refuse(500)
  }
  const status = error.code === 'store-unavailable' ? outage.status() : statusByFault[error.code]
  // Debug only: a client that disconnects is no problem, and a store logs once when it becomes unreadable.
  const level = error.code === 'users-unwritable' ? 'error' : 'debug'
  log[level]({ err: error, code: error.code, route: reply.route, target: reply.target }, 'Could not answer a request')
  if (status === 404) reply.refuse(404)
  else reply.postpone(error.code === 'busy' ? 5 : 15)
}

/** The client disconnected, or stalled, while it sent a body. */
function isCutOff({ request }: Reply): boolean {
  // One without a body counts as destroyed from the beginning.
  return hasBody(request) && request.destroyed && !request.complete
}
