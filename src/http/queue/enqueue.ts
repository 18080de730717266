/**
 * A request's turn and its patience. Work that costs (NARs, listings, build logs) passes a queue, clients in turn: a
 * client is a user, or without users a network. Whoever waits too long, or finds the queue full, is told to come again;
 * nothing that a client waits for takes longer to begin than the edge's patience allows.
 */
import { Fault } from '../../faults.ts'
import { networkOf } from '../auth/client-address.ts'
import type { Origin } from '../origin.ts'
import type { Reply } from '../reply.ts'
import { createFairQueue, type FairQueue, type Leave } from './fair-queue.ts'

/** See queue.ts: one client gets three quarters of the places at the most, however slow his downloads are. */
const share = 3

export function createQueue(places: number, maxWaiting: number): FairQueue {
  return createFairQueue({ places, maxWaiting, share })
}

/**
 * Does the work in its turn, or answers 503. The place is given back when the work has ended, however it ends. Rejects
 * as the work does.
 */
export async function enqueue(
  origin: Origin,
  reply: Reply,
  queue: FairQueue,
  work: () => Promise<void>,
): Promise<void> {
  const key = reply.user ?? networkOf(reply.address)
  const leave = queue.enter(key) ?? (await waitForPlace(origin, reply, queue, key))
  if (leave === undefined) return reply.postpone(nextRetrySeconds())
  try {
    await work()
  } finally {
    leave()
  }
}

/** Undefined when there was no room to wait, when it took too long, or when the client went away. */
async function waitForPlace(
  { limits, after }: Origin,
  reply: Reply,
  queue: FairQueue,
  key: string,
): Promise<Leave | undefined> {
  const { response } = reply
  if (response.destroyed) return undefined
  const waiting = queue.wait(key)
  if (waiting === undefined) return undefined
  // Half of the time is left for the work itself.
  const patienceMs = Math.min(limits.queueSeconds, limits.firstByteSeconds / 2) * 1000
  const stop = after(patienceMs, waiting.giveUp)
  response.once('close', waiting.giveUp)
  try {
    return await waiting.admitted
  } finally {
    stop()
    response.off('close', waiting.giveUp)
  }
}

const shortestRetrySeconds = 5
const retrySpread = 11
let refusals = 0

/** One second apart for one after the other: a crowd turned away together does not come back together. */
function nextRetrySeconds(): number {
  refusals = (refusals + 1) % retrySpread
  return shortestRetrySeconds + refusals
}

/**
 * A reply must have begun well before the edge's limit of 120 s, counted from the request's arrival; the client comes
 * again and finds more done. Rejects as the work does, with `busy` when the time is over, or with `abandoned` when the
 * client goes away: the work then goes on unless its owner ends it.
 */
export async function withinDeadline<T>({ limits, after }: Origin, reply: Reply, work: Promise<T>): Promise<T> {
  work.catch(() => {})
  const { promise: givenUp, reject } = Promise.withResolvers<never>()
  const { response } = reply
  const abandon = () => reject(new Fault('abandoned', 'The client closed the connection'))
  if (response.destroyed) abandon()
  else response.once('close', abandon)
  const leftMs = Math.max(0, limits.firstByteSeconds * 1000 - reply.elapsedMs)
  const stop = after(leftMs, () => reject(new Fault('busy', 'The reply takes longer to begin than a client may wait')))
  try {
    return await Promise.race([work, givenUp])
  } finally {
    stop()
    response.off('close', abandon)
  }
}
