/**
 * Slows down password guessing without locking users out. A login that is not remembered needs one of its network's
 * slots before it is checked. A wrong login keeps the slot for its whole delay, even if the client disconnects. In the
 * long run a network can make at most 8 guesses in 8 seconds, however many connections it opens. A right password is
 * never delayed.
 */
import { hash, randomBytes } from 'node:crypto'

import { RateLimiterMemory } from 'rate-limiter-flexible'

import { networkOf } from './client-address.ts'

/** How long a failure is remembered. */
const windowSeconds = 15 * 60
const firstDelayMs = 250
const longestDelayMs = 8_000
/** Concurrent logins of one network, delays included: with the longest delay this is one guess a second. */
const perNetwork = 8
/**
 * Concurrent logins of all networks, delays included: bounds the sockets that wait for an answer. A login without a slot
 * is not checked. The last slots are reserved for networks without failed logins, and some of these for networks with a
 * successful login, so that users can log in while many others guess.
 */
const maxConcurrent: Readonly<Record<Standing, number>> = { suspect: 256, new: 448, familiar: 512 }
/** From this number of failures on, a network is suspect even if a login from it has succeeded. */
const manyFailures = 8
/** Networks that are remembered for a successful login. */
const maxFamiliar = 4096
/**
 * Attackers choose names and networks freely. Failures are counted in a fixed number of buckets, so memory is bounded;
 * names or networks that share a bucket share its delay.
 */
const buckets = 16_384

/** What is known about a network: a successful login, nothing, or a failed login within the window. */
export type Standing = 'familiar' | 'new' | 'suspect'

/** A login that is being checked. Exactly one of the two functions is called. */
export interface Attempt {
  readonly standing: Standing
  /** The password was right: returns the slot. */
  succeed(): void
  /** The password was wrong: counts the failure, then resolves and returns the slot after the delay. */
  fail(name: string): Promise<void>
}

export interface LoginThrottle {
  /** Undefined when no slot is free: the login must not be checked. */
  begin(address: string): Promise<Attempt | undefined>
  /** Failures since the start. */
  readonly failures: number
}

export function createLoginThrottle(sleep: (ms: number) => Promise<void>): LoginThrottle {
  // The limiter is used as an expiring counter. Its limit is never reached, so it never rejects.
  const options = { points: Number.MAX_SAFE_INTEGER, duration: windowSeconds }
  const byNetwork = new RateLimiterMemory({ ...options, keyPrefix: 'network' })
  const byName = new RateLimiterMemory({ ...options, keyPrefix: 'name' })
  const bucketOf = createBuckets()
  const familiar = new Set<string>()
  const running = new Map<string, number>()
  let total = 0
  let failures = 0

  function release(network: string): void {
    total--
    const left = running.get(network)! - 1
    if (left === 0) running.delete(network)
    else running.set(network, left)
  }

  function noteSuccess(network: string): void {
    familiar.delete(network)
    familiar.add(network)
    for (const oldest of familiar) {
      if (familiar.size <= maxFamiliar) break
      familiar.delete(oldest)
    }
  }

  async function standingOf(network: string): Promise<Standing> {
    const failed = (await byNetwork.get(bucketOf(network)))?.consumedPoints ?? 0
    if (failed >= manyFailures) return 'suspect'
    if (familiar.has(network)) return 'familiar'
    return failed > 0 ? 'suspect' : 'new'
  }

  return {
    get failures() {
      return failures
    },
    async begin(address) {
      const network = networkOf(address)
      const known = await standingOf(network)
      const already = running.get(network) ?? 0
      // While the first login of a new network is being checked, its other logins count as suspect.
      const standing = known === 'new' && already > 0 ? 'suspect' : known
      if (already >= perNetwork || total >= maxConcurrent[standing]) return undefined
      running.set(network, already + 1)
      total++
      return {
        standing,
        succeed() {
          noteSuccess(network)
          release(network)
        },
        async fail(name) {
          failures++
          try {
            const [ofNetwork, ofName] = await Promise.all([
              byNetwork.consume(bucketOf(network)),
              byName.consume(bucketOf(name)),
            ])
            // Failures of the name count less: they slow down distributed guessing of one user's password, but hardly
            // delay that user after a typing error.
            const steps = Math.max(ofNetwork.consumedPoints - 1, Math.floor(Math.log2(ofName.consumedPoints)))
            await sleep(Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(steps, 10)))
          } finally {
            release(network)
          }
        },
      }
    },
  }
}

/** Salted: an attacker with many networks cannot pick one that shares the bucket of another network. */
function createBuckets(): (text: string) => number {
  const salt = randomBytes(16).toString('hex')
  return (text) => hash('sha256', salt + text, 'buffer').readUInt32LE() % buckets
}
