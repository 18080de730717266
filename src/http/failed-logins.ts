/**
 * Failed logins, counted by client network and by name, so that guessing is slow and nobody is locked out: what a count does is only to delay the answer to the next
 * wrong guess. A right password waits for no delay, and a stranger can fill the places of his own network only.
 */
import { hash } from 'node:crypto'

import { RateLimiterMemory } from 'rate-limiter-flexible'

import { networkOf } from './client-address.ts'

/** How long a failure is remembered. */
const windowSeconds = 15 * 60
const firstDelayMs = 250
const longestDelayMs = 8_000
/** Guesses of one network under way at once, delays included: with the longest delay this is one guess a second. */
const perNetwork = 8
/** Answers delayed at once, of all networks together: bounds the sockets they hold. Further wrong guesses are told at once to come later. */
const maxDelayed = 256
/** Names and networks are the strangers' choice, so they are counted in so many drawers: what falls into one drawer waits together, and memory is bounded. */
const drawers = 16_384

export interface FailedLogins {
  /** Asks for a place to verify a password for this address; undefined when its network has too many under way. Call the result when the answer is sent. */
  enter(address: string): (() => void) | undefined
  /** Counts a failure and waits as long as its answer is to be delayed. False at once when too many wait already. */
  delay(address: string, name: string): Promise<boolean>
  /** Failures since start. */
  readonly total: number
}

export function createFailedLogins(sleep: (ms: number) => Promise<void>): FailedLogins {
  // The limiter is used as an expiring counter: its limit is never reached, so it never rejects.
  const options = { points: Number.MAX_SAFE_INTEGER, duration: windowSeconds }
  const byNetwork = new RateLimiterMemory({ ...options, keyPrefix: 'network' })
  const byName = new RateLimiterMemory({ ...options, keyPrefix: 'name' })
  const underWay = new Map<string, number>()
  let delayed = 0
  let total = 0

  return {
    get total() {
      return total
    },
    enter(address) {
      const network = networkOf(address)
      const already = underWay.get(network) ?? 0
      if (already >= perNetwork) return undefined
      underWay.set(network, already + 1)
      return () => {
        const left = underWay.get(network)! - 1
        if (left === 0) underWay.delete(network)
        else underWay.set(network, left)
      }
    },
    async delay(address, name) {
      total++
      const [network, named] = await Promise.all([byNetwork.consume(drawerOf(networkOf(address))), byName.consume(drawerOf(name))])
      if (delayed >= maxDelayed) return false
      // The name's own count weighs less: many strangers guessing at one name are slowed, one typing error after theirs is not.
      const steps = Math.max(network.consumedPoints - 1, Math.floor(Math.log2(named.consumedPoints)))
      delayed++
      try {
        await sleep(Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(steps, 10)))
      } finally {
        delayed--
      }
      return true
    },
  }
}

function drawerOf(text: string): number {
  return hash('sha256', text, 'buffer').readUInt32LE() % drawers
}
