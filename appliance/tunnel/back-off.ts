/**
 * Exponential back-off with jitter: the delay doubles up to a limit, and its upper half is random, so that clients that
 * failed together do not retry together.
 */

export interface BackOff {
  /** Milliseconds; each call is one more failure in a row. */
  next(): number
  reset(): void
}

export interface BackOffRange {
  readonly firstMs: number
  readonly maxMs: number
}

/** By the kind of the problem. */
export const paces = {
  /** A crash, a hang, a network failure: most of them are over in seconds. */
  soon: { firstMs: 1_000, maxMs: 60_000 },
  /**
   * The edge cannot be reached: reconnect within seconds once it can. An attempt costs a process and a few DNS queries.
   */
  network: { firstMs: 1_000, maxMs: 6_000 },
  /** After "too many requests" the service needs a longer pause. */
  later: { firstMs: 30_000, maxMs: 600_000 },
  /** Someone must change something first; more attempts would only fill the logs, here and at the edge. */
  rarely: { firstMs: 300_000, maxMs: 3_600_000 },
} as const satisfies Record<string, BackOffRange>

export type Pace = keyof typeof paces

/** @param random from 0 to below 1 */
export function createBackOff({ firstMs, maxMs }: BackOffRange, random: () => number): BackOff {
  let failures = 0
  return {
    next() {
      const fullMs = Math.min(maxMs, firstMs * 2 ** Math.min(failures, 30))
      failures += 1
      return Math.round(fullMs / 2 + (random() * fullMs) / 2)
    },
    reset() {
      failures = 0
    },
  }
}
