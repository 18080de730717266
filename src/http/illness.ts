/**
 * What a client hears of stores that cannot be read. For the first seconds 503: Nix tries again by itself, which bridges a restart or a busy database. After that
 * 404, although it is not known: a build must not fail because a cache is ill that it could do without. Nix 2.8 and 2.34 end a build without `fallback` at a 503 that
 * lasts for 4.5 s, and Nix 2.8 aborts with `fallback`; at a 404 both go on to the next cache or build.
 */
import type { Log } from '../log.ts'

const bridgeMs = 5_000

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
  return {
    get isHidden() {
      return isHidden
    },
    status() {
      sinceMs ??= now()
      if (now() - sinceMs < bridgeMs) return 503
      if (!isHidden)
        log.error(
          { seconds: bridgeMs / 1000 },
          'The store cannot be read: all paths are answered as absent (404) until it can, so that builds go on without this cache',
        )
      isHidden = true
      return 404
    },
    end() {
      if (sinceMs === undefined) return
      if (isHidden) log.info({ seconds: Math.round((now() - sinceMs) / 1000) }, 'The store can be read again: paths are served')
      sinceMs = undefined
      isHidden = false
    },
  }
}
