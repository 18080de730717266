/**
 * The status of look-ups while a store cannot be read. For the first seconds 503: Nix retries, which bridges a restart or
 * a busy database. After that 404, although the path may exist: a broken cache must not make builds fail that can do
 * without it. If a 503 lasts for 4.5 s, Nix 2.8 and 2.34 fail a build without `fallback`, and Nix 2.8 aborts even with
 * `fallback`; after a 404 both continue with the next cache or build the path.
 */
import { Fault } from '../faults.ts'
import type { Log } from '../log.ts'

/**
 * Nix makes five attempts by default, 250 ms · 2^(k-1 to k-0.5) after the k-th: the last one 3.75 to 5.3 s after the
 * first. It must get either the path or a 404; with a longer time, every build that starts during an outage would fail.
 */
const retryMs = 3_500
/** A check takes microseconds. */
const checkIntervalMs = 1_000

export interface StoreOutage {
  /** The status for a request that could not read a store. */
  status(): 404 | 503
  /** Called after every successful look-up. Cheap. */
  end(): void
  /** True while look-ups are answered 404 because a store cannot be read. */
  readonly isHidden: boolean
}

/** `now`: milliseconds of a steady clock. */
export function createStoreOutage(log: Log, now: () => number): StoreOutage {
  let sinceMs: number | undefined
  let isHidden = false
  /** A store that was never readable is reported by its adapter: there may be no Nix on this machine yet. */
  let wasReadable = false
  return {
    get isHidden() {
      return isHidden
    },
    status() {
      sinceMs ??= now()
      if (now() - sinceMs < retryMs) return 503
      if (!isHidden && wasReadable)
        log.error(
          { seconds: retryMs / 1000 },
          'The store cannot be read: answering 404 for its paths until it can be read again, so that builds continue without this cache',
        )
      isHidden = true
      return 404
    },
    end() {
      wasReadable = true
      if (sinceMs === undefined) return
      if (isHidden)
        log.info({ seconds: Math.round((now() - sinceMs) / 1000) }, 'The store can be read again: serving its paths')
      sinceMs = undefined
      isHidden = false
    },
  }
}

/**
 * Checks the stores periodically, so that an outage is noticed without requests: the first build after a quiet hour does
 * not have to wait for the 404, and log, metrics and status are up to date. `generation`: as in Stores. Returns a function
 * that stops the checks.
 */
export function watchForOutage(
  outage: StoreOutage,
  generation: () => number,
  after: (ms: number, callback: () => void) => () => void,
): () => void {
  let stop = after(checkIntervalMs, watch)
  function watch(): void {
    // A bug will show up in the next request.
    const state = stateOf(generation)
    if (state === 'readable') outage.end()
    else if (state === 'unreadable') outage.status()
    stop = after(checkIntervalMs, watch)
  }
  return () => stop()
}

function stateOf(generation: () => number): 'readable' | 'unreadable' | 'unknown' {
  try {
    // It is NaN while one of several stores cannot be read.
    return Number.isNaN(generation()) ? 'unreadable' : 'readable'
  } catch (error) {
    return error instanceof Fault && error.code === 'store-unavailable' ? 'unreadable' : 'unknown'
  }
}
