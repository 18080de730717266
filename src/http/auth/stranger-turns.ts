/**
 * Strangers in small numbers: so many requests without a remembered login are looked at in one turn of the event loop,
 * the others in the next turns, in the order of their coming. Known users, who do not pass here, are answered in
 * between. A thousand guessers who send again as soon as they have an answer slow each other down, and nobody else.
 */

/**
 * Some 100 us each. A turn is short because it accepts a single new connection, too: when a thousand come at once, the
 * last waits for a thousand turns.
 */
const perTurn = 8

export interface StrangerTurns {
  /** Resolves when it is the caller's turn. */
  next(): Promise<void>
}

/** `later`: calls back in the next turn of the event loop (`setImmediate`). */
export function createStrangerTurns(later: (callback: () => void) => void): StrangerTurns {
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
