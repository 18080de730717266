/**
 * What a client hears of stores that cannot be read. For the first seconds 503: Nix tries again by itself, which
 * bridges a restart or a busy database. After that 404, although it is not known: a build must not fail because a cache
 * is ill that it could do without. Nix 2.8 and 2.34 end a build without `fallback` at a 503 that lasts for 4.5 s, and
 * Nix 2.8 aborts with `fallback`; at a 404 both go on to the next cache or build.
 */
import { Fault } from '../faults.ts'
import type { Log } from '../log.ts'

/**
 * Nix asks five times by default, 250 ms · 2^(k-1 to k-0.5) after the k-th answer: for the last time 3.75 to 5.3 s
 * after the first. That one has to find either the path or a 404; a longer bridge would not bridge more, and would fail
 * each build that begins with an illness.
 */
const bridgeMs = 3_500
/** One look takes microseconds. */
const watchMs = 1_000

export interface Illness {
  /** For a request that met an unreadable store. */
  status(): 404 | 503
  /** A look-up has succeeded. Cheap. */
  end(): void
  /** True while paths are answered as absent because the stores cannot be read. */
  readonly isHidden: boolean
}

/** `now`: milliseconds of a steady clock. */
export function createIllness(log: Log, now: () => number): Illness {
  let sinceMs: number | undefined
  let isHidden = false
  /** What cannot be read from the start is told by its adapter: there may be no Nix on this machine yet. */
  let wasReadable = false
  return {
    get isHidden() {
      return isHidden
    },
    status() {
      sinceMs ??= now()
      if (now() - sinceMs < bridgeMs) return 503
      if (!isHidden && wasReadable)
        log.error(
          { seconds: bridgeMs / 1000 },
          'The store cannot be read: its paths are answered as absent (404) until it can, so that builds go on without this cache',
        )
      isHidden = true
      return 404
    },
    end() {
      wasReadable = true
      if (sinceMs === undefined) return
      if (isHidden)
        log.info({ seconds: Math.round((now() - sinceMs) / 1000) }, 'The store can be read again: paths are served')
      sinceMs = undefined
      isHidden = false
    },
  }
}

/**
 * Looks at the stores from time to time, so that an illness begins when it begins: the first build after a quiet hour
 * shall not be the one that waits for it in vain, and log, metrics and status know of it although nobody asks.
 * `generation`: as of Stores. Returns how to stop.
 */
export function watchForIllness(
  illness: Illness,
  generation: () => number,
  after: (ms: number, callback: () => void) => () => void,
): () => void {
  let stop = after(watchMs, watch)
  function watch(): void {
    // What is a bug shows with the next request.
    const state = stateOf(generation)
    if (state === 'readable') illness.end()
    else if (state === 'unreadable') illness.status()
    stop = after(watchMs, watch)
  }
  return () => stop()
}

function stateOf(generation: () => number): 'readable' | 'unreadable' | 'unknown' {
  try {
    // While one of several stores is away it is no number.
    return Number.isNaN(generation()) ? 'unreadable' : 'readable'
  } catch (error) {
    return error instanceof Fault && error.code === 'store-unavailable' ? 'unreadable' : 'unknown'
  }
}
