/**
 * Waiting for a slot, and the deadline for a reply. Expensive work (NARs, listings, build logs) goes through a queue that
 * is fair between clients: users, or networks on a public cache. A request that waits too long or finds the queue full is
 * answered 503 with Retry-After. Every reply starts well before the edge times out.
 */
import { Fault } from '../../faults.ts'
import { networkOf } from '../auth/client-address.ts'
import type { Origin } from '../origin.ts'
import type { Reply } from '../reply.ts'
import { createFairQueue, type FairQueue, type Leave } from './fair-queue.ts'

/** See fair-queue.ts: a client gets at most three quarters of the slots, however slow its downloads are. */
const share = 3

export function createQueue(slots: number, maxWaiting: number): FairQueue {
  return createFairQueue({ slots, maxWaiting, share })
}

/**
 * Does the work when a slot is free, or answers 503. The slot is released when the work has ended. Rejects as the work
 * does.
 */
export async function enqueue(
  origin: Origin,
  reply: Reply,
  queue: FairQueue,
  work: () => Promise<void>,
): Promise<void> {
  const key = reply.user ?? networkOf(reply.address)
  const leave = queue.enter(key) ?? (await waitForSlot(origin, reply, queue, key))
  if (leave === undefined) return reply.postpone(nextRetrySeconds())
  try {
    await work()
  } finally {
    leave()
  }
}

/** Undefined when the queue was full, when it took too long, or when the client disconnected. */
async function waitForSlot(
  { limits, after }: Origin,
  reply: Reply,
  queue: FairQueue,
  key: string,
): Promise<Leave | undefined> {
  const { response } = reply
  if (response.destroyed) return undefined
  const waiting = queue.wait(key)
  if (waiting === undefined) return undefined
  // Leaves half of the time for the work itself.
  const maxWaitMs = Math.min(limits.queueSeconds, limits.firstByteSeconds / 2) * 1000
  const stop = after(maxWaitMs, waiting.giveUp)
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

/** Spreads the retries of clients that were refused at the same time. */
function nextRetrySeconds(): number {
  refusals = (refusals + 1) % retrySpread
  return shortestRetrySeconds + refusals
}

/**
 * A reply must start well before the edge's limit of 120 s, counted from the arrival of the request; when the client
 * tries again, more of the work is done. Rejects as the work does, with `busy` at the deadline, or with `abandoned` when
 * the client disconnects. The work then continues unless its owner stops it.
 */
export async function withinDeadline<T>({ limits, after }: Origin, reply: Reply, work: Promise<T>): Promise<T> {
  work.catch(() => {})
  const { promise: givenUp, reject } = Promise.withResolvers<never>()
  const { response } = reply
  const abandon = () => reject(new Fault('abandoned', 'The client closed the connection'))
  if (response.destroyed) abandon()
  else response.once('close', abandon)
  const leftMs = Math.max(0, limits.firstByteSeconds * 1000 - reply.elapsedMs)
  const stop = after(leftMs, () => reject(new Fault('busy', 'The reply could not start before the deadline')))
  try {
    return await Promise.race([work, givenUp])
  } finally {
    stop()
    response.off('close', abandon)
  }
}
