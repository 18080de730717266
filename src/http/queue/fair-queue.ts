/**
 * Lets so much work through at once. The rest waits in a queue for each key, and the queues are served in turn: whoever
 * fills his own holds up the others by one piece of work a round.
 *
 * What is held for long (a slow download holds its place for hours) no queue can share out. So a key may take a place,
 * and a place in the queue, only while it has less than `share` times what is left over for everybody: with a share of
 * 3 one key alone gets three quarters and the next finds room at once; as places come back, n greedy keys come to
 * 3/(3n+1) each. Nobody who is inside is ever put out. Source: the dynamic thresholds of A. Choudhury and E. Hahne, by
 * which switches share one buffer among their ports (IEEE/ACM Transactions on Networking 6(2), 1998).
 */

/** Gives a place back; called exactly once. */
export type Leave = () => void

export interface Waiting {
  /** Resolves with a place; with undefined when the wait was given up. Never rejects. */
  readonly admitted: Promise<Leave | undefined>
  /** Leaves the queue at once. Means nothing to whoever was admitted before. */
  giveUp(): void
}

export interface FairQueue {
  /** A place that can be had at once. */
  enter(key: string): Leave | undefined
  /** A place in the key's queue, for whoever could not enter at once; undefined when it is full. */
  wait(key: string): Waiting | undefined
  readonly underWay: number
  readonly waiting: number
}

export interface FairQueueOptions {
  readonly places: number
  /** Of all keys together. */
  readonly maxWaiting?: number
  readonly share?: number
}

interface Holder {
  held: number
  /** In the order of their coming. */
  readonly queue: Set<(leave: Leave | undefined) => void>
}

export function createFairQueue({
  places,
  maxWaiting = Number.POSITIVE_INFINITY,
  share = Number.POSITIVE_INFINITY,
}: FairQueueOptions): FairQueue {
  const holders = new Map<string, Holder>()
  /** Those with a queue, the next to be served first. */
  const round = new Map<string, Holder>()
  let free = places
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
   * A key set anew is visited again in the same loop, behind all others. Who may not enter now may not later in it:
   * what is free only shrinks.
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
      return places - free
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

/** Does the work when it is its turn, however long that takes; undefined when the queue is full. */
export async function runQueued<T>(queue: FairQueue, key: string, work: () => Promise<T>): Promise<T | undefined> {
  const leave = queue.enter(key) ?? (await queue.wait(key)?.admitted)
  if (leave === undefined) return undefined
  try {
    return await work()
  } finally {
    leave()
  }
}
