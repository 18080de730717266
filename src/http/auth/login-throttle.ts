/**
 * Slows guesses of passwords without locking anybody out. A login that is not remembered needs a place of its network
 * before it is checked; a wrong one keeps that place for the whole of its delay, whatever becomes of the answer. So a
 * network makes at most 8 guesses in 8 seconds in the long run, however many connections it opens. A right password
 * waits for no delay.
 */
import { hash, randomBytes } from 'node:crypto'

import { RateLimiterMemory } from 'rate-limiter-flexible'

import { networkOf } from './client-address.ts'

/** How long a failure is remembered. */
const windowSeconds = 15 * 60
const firstDelayMs = 250
const longestDelayMs = 8_000
/** Logins of one network under way at once, delays included: with the longest delay this is one guess a second. */
const perNetwork = 8
/**
 * Logins under way of all networks together, delays included: bounds the sockets that wait for an answer. What finds no
 * place is not checked. The last places are for networks that have not failed, and the very last for those from which
 * somebody has logged in: they get through while many others guess.
 */
const maxUnderWay: Readonly<Record<Standing, number>> = { suspect: 256, new: 448, familiar: 512 }
/** From here on a network is suspect although somebody has logged in from it. */
const manyFailures = 8
/** Networks remembered for a right login. */
const maxFamiliar = 4096
/**
 * Names and networks are chosen by strangers. Their failures are counted in a fixed number of buckets, so memory is
 * bounded; what shares a bucket waits together.
 */
const buckets = 16_384

/** What is known of a network: nothing, a right login, or a wrong one within the window. */
export type Standing = 'familiar' | 'new' | 'suspect'

/** One login under way. Exactly one of the two functions is called. */
export interface Attempt {
  readonly standing: Standing
  /** The password was right: gives the place back. */
  succeed(): void
  /** The password was wrong: counts it, resolves after the delay, and gives the place back then. */
  fail(name: string): Promise<void>
}

export interface LoginThrottle {
  /** Undefined when there is no place: the login must not be checked then. */
  begin(address: string): Promise<Attempt | undefined>
  /** Failures since the start. */
  readonly failures: number
}

export function createLoginThrottle(sleep: (ms: number) => Promise<void>): LoginThrottle {
  // The limiter is used as an expiring counter: its limit is never reached, so it never rejects.
  const options = { points: Number.MAX_SAFE_INTEGER, duration: windowSeconds }
  const byNetwork = new RateLimiterMemory({ ...options, keyPrefix: 'network' })
  const byName = new RateLimiterMemory({ ...options, keyPrefix: 'name' })
  const bucketOf = createBuckets()
  const familiar = new Set<string>()
  const underWay = new Map<string, number>()
  let total = 0
  let failures = 0

  function leave(network: string): void {
    total--
    const left = underWay.get(network)! - 1
    if (left === 0) underWay.delete(network)
    else underWay.set(network, left)
  }

  function greet(network: string): void {
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
      const already = underWay.get(network) ?? 0
      // Until the first login of a new network is decided, its further ones have no privilege.
      const standing = known === 'new' && already > 0 ? 'suspect' : known
      if (already >= perNetwork || total >= maxUnderWay[standing]) return undefined
      underWay.set(network, already + 1)
      total++
      return {
        standing,
        succeed() {
          greet(network)
          leave(network)
        },
        async fail(name) {
          failures++
          try {
            const [ofNetwork, ofName] = await Promise.all([
              byNetwork.consume(bucketOf(network)),
              byName.consume(bucketOf(name)),
            ])
            // The name's own count weighs less: many strangers who guess at one name are slowed, one typing error after
            // theirs is not.
            const steps = Math.max(ofNetwork.consumedPoints - 1, Math.floor(Math.log2(ofName.consumedPoints)))
            await sleep(Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(steps, 10)))
          } finally {
            leave(network)
          }
        },
      }
    },
  }
}

/** Salted: a stranger with many networks cannot choose one that shares the bucket of somebody else's. */
function createBuckets(): (text: string) => number {
  const salt = randomBytes(16).toString('hex')
  return (text) => hash('sha256', salt + text, 'buffer').readUInt32LE() % buckets
}
