/**
 * Slows guesses of passwords without locking anybody out. A login that is not remembered needs a place of its network before it is checked; a wrong one keeps
 * that place for the whole of its delay, whatever becomes of the answer. So a network makes at most 8 guesses in 8 seconds in the long run, however many connections it
 * opens. A right password waits for no delay.
 */
import { hash } from 'node:crypto'

import { RateLimiterMemory } from 'rate-limiter-flexible'

import { networkOf } from './client-address.ts'

/** How long a failure is remembered. */
const windowSeconds = 15 * 60
const firstDelayMs = 250
const longestDelayMs = 8_000
/** Logins of one network under way at once, delays included: with the longest delay this is one guess a second. */
const perNetwork = 8
/** Logins under way of all networks together: bounds the sockets that wait for an answer. What finds no place is not checked. */
const maxUnderWay = 512
/** The last places are for networks that have none: a first login gets through while many others guess. */
const keptForNewcomers = 256
/** Names and networks are chosen by strangers. They are counted in a fixed number of buckets, so memory is bounded; what shares a bucket waits together. */
const buckets = 16_384

/** One login under way. Exactly one of the two is called. */
export interface Attempt {
  /** The password was right, or could not be checked: gives the place back. */
  release(): void
  /** The password was wrong: counts it, resolves after the delay, and gives the place back then. */
  fail(name: string): Promise<void>
}

export interface LoginThrottle {
  /** Undefined when there is no place: the login must not be checked then. */
  begin(address: string): Attempt | undefined
  /** Failures since the start. */
  readonly failures: number
}

export function createLoginThrottle(sleep: (ms: number) => Promise<void>): LoginThrottle {
  // The limiter is used as an expiring counter: its limit is never reached, so it never rejects.
  const options = { points: Number.MAX_SAFE_INTEGER, duration: windowSeconds }
  const byNetwork = new RateLimiterMemory({ ...options, keyPrefix: 'network' })
  const byName = new RateLimiterMemory({ ...options, keyPrefix: 'name' })
  const underWay = new Map<number, number>()
  let total = 0
  let failures = 0

  function leave(bucket: number): void {
    total--
    const left = underWay.get(bucket)! - 1
    if (left === 0) underWay.delete(bucket)
    else underWay.set(bucket, left)
  }

  return {
    get failures() {
      return failures
    },
    begin(address) {
      const bucket = bucketOf(networkOf(address))
      const already = underWay.get(bucket) ?? 0
      const most = already === 0 ? maxUnderWay : maxUnderWay - keptForNewcomers
      if (already >= perNetwork || total >= most) return undefined
      underWay.set(bucket, already + 1)
      total++
      return {
        release: () => leave(bucket),
        async fail(name) {
          failures++
          try {
            const [network, named] = await Promise.all([byNetwork.consume(bucket), byName.consume(bucketOf(name))])
            // The name's own count weighs less: many strangers who guess at one name are slowed, one typing error after theirs is not.
            const steps = Math.max(network.consumedPoints - 1, Math.floor(Math.log2(named.consumedPoints)))
            await sleep(Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(steps, 10)))
          } finally {
            leave(bucket)
          }
        },
      }
    },
  }
}

function bucketOf(text: string): number {
  return hash('sha256', text, 'buffer').readUInt32LE() % buckets
}
