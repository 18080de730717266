/**
 * Limits how many requests without a remembered login are handled in one turn of the event loop. The others follow in
 * later turns, first come, first served. Requests of known users do not pass here and are answered in between: a
 * thousand password guessers slow down each other, but not the users.
 */

/**
 * About 100 us each. A turn must be short because it also accepts only one new connection: when a thousand arrive at
 * once, the last one waits for a thousand turns.
 */
const perTurn = 8

export interface LoginPacer {
  /** Resolves when the request may be handled. */
  next(): Promise<void>
}

/** `later`: calls back in the next turn of the event loop (`setImmediate`). */
export function createLoginPacer(later: (callback: () => void) => void): LoginPacer {
  const waiting = new Set<() => void>()

  function startSome(): void {
    let started = 0
    for (const start of waiting) {
      if (started++ === perTurn) break
      waiting.delete(start)
      start()
    }
    if (waiting.size > 0) later(startSome)
  }

  return {
    next: () =>
      new Promise((resolve) => {
        waiting.add(resolve)
        if (waiting.size === 1) later(startSome)
      }),
  }
}
