/**
 * Limits concurrent work, fairly between keys. Waiting work is queued by key, and the queues are served round-robin: a
 * key with a long queue delays the others by one piece of work per round.
 *
 * Round-robin alone does not help when slots are held for long, as by a slow download. So a key may take a slot, or a
 * place in the queue, only while it has less than `share` times the number that is still free. With a share of 3, a
 * single key gets three quarters and the next key still finds a free slot; n greedy keys converge to 3/(3n+1) each. Work
 * that has started is never interrupted. Source: dynamic thresholds by A. Choudhury and E. Hahne, for switches that share
 * one buffer among their ports (IEEE/ACM Transactions on Networking 6(2), 1998).
 */

/** Releases a slot. Must be called exactly once. */
export type Leave = () => void

export interface Waiting {
  /** Resolves when a slot was assigned; with undefined after `giveUp`. Never rejects. */
  readonly admitted: Promise<Leave | undefined>
  /** Leaves the queue at once. No effect once a slot was assigned. */
  giveUp(): void
}

export interface FairQueue {
  /** Takes a slot if one is available at once. */
  enter(key: string): Leave | undefined
  /** Joins the key's queue, after `enter` has failed. Undefined when the queue is full. */
  wait(key: string): Waiting | undefined
  readonly underWay: number
  readonly waiting: number
}

export interface FairQueueOptions {
  readonly slots: number
  /** Of all keys together. */
  readonly maxWaiting?: number
  readonly share?: number
}

interface Holder {
  held: number
  /** First in, first out. */
  readonly queue: Set<(leave: Leave | undefined) => void>
}

export function createFairQueue({
  slots,
  maxWaiting = Number.POSITIVE_INFINITY,
  share = Number.POSITIVE_INFINITY,
}: FairQueueOptions): FairQueue {
  const holders = new Map<string, Holder>()
  /** Keys with waiting work, in the order in which they are served. */
  const round = new Map<string, Holder>()
  let free = slots
  let waiting = 0

  const mayEnter = ({ held }: Holder) => free > 0 && held < share * free
  const mayQueue = ({ queue }: Holder) => waiting < maxWaiting && queue.size < share * (maxWaiting - waiting)

  function holderOf(key: string): Holder {
    const known = holders.get(key)
    if (known !== undefined) return known
    const holder: Holder = { held: 0, queue: new Set() }
    holders.set(key, holder)
    return holder
  }

  function forgetIfIdle(key: string, { held, queue }: Holder): void {
    if (held === 0 && queue.size === 0) holders.delete(key)
  }

  function take(key: string, holder: Holder): Leave {
    free--
    holder.held++
    return () => {
      free++
      holder.held--
      forgetIfIdle(key, holder)
      admitWaiting()
    }
  }

  /**
   * A key that is deleted and set again is visited again in the same loop, after all others. A key that may not enter now
   * cannot enter later in the loop, since the number of free slots only shrinks.
   */
  function admitWaiting(): void {
    for (const [key, holder] of round) {
      if (free === 0) return
      if (!mayEnter(holder)) continue
      const [next] = holder.queue
      leaveQueue(key, holder, next!)
      if (round.delete(key)) round.set(key, holder)
      next!(take(key, holder))
    }
  }

  function leaveQueue(key: string, holder: Holder, resolve: (leave: Leave | undefined) => void): boolean {
    if (!holder.queue.delete(resolve)) return false
    waiting--
    if (holder.queue.size === 0) round.delete(key)
    return true
  }

  return {
    get underWay() {
      return slots - free
    },
    get waiting() {
      return waiting
    },
    enter(key) {
      const holder = holderOf(key)
      if (holder.queue.size === 0 && mayEnter(holder)) return take(key, holder)
      forgetIfIdle(key, holder)
      return undefined
    },
    wait(key) {
      const holder = holderOf(key)
      if (!mayQueue(holder)) {
        forgetIfIdle(key, holder)
        return undefined
      }
      const { promise: admitted, resolve } = Promise.withResolvers<Leave | undefined>()
      holder.queue.add(resolve)
      round.set(key, holder)
      waiting++
      const giveUp = () => {
        if (!leaveQueue(key, holder, resolve)) return
        forgetIfIdle(key, holder)
        resolve(undefined)
      }
      return { admitted, giveUp }
    },
  }
}
