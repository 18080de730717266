/**
 * How long to wait before the next try: doubling from try to try up to a limit, the upper half of it by chance, so that
 * many who failed together do not come back together.
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

/** By what it takes to mend the fault. */
export const paces = {
  /** A crash, a hang, a network that is away: most of them are over in seconds. */
  soon: { firstMs: 1_000, maxMs: 60_000 },
  /**
   * The way to the edge is away: when it comes back, so must we, within seconds. A try costs a process and a few
   * questions to the name server.
   */
  network: { firstMs: 1_000, maxMs: 6_000 },
  /** A service that said "too many requests" wants to be left alone for longer. */
  later: { firstMs: 30_000, maxMs: 600_000 },
  /** Somebody must change something first; asking more often only fills the logs, ours and the edge's. */
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
