/** Time and chance as the tunnel sees them, so that tests can turn them by hand. */
export interface TunnelClock {
  /**
   * Milliseconds since 1970: for telling when. How long something takes is measured by `after`, which no change of the
   * system's clock disturbs.
   */
  now(): number
  /** Runs the callback once after so many milliseconds; the returned function calls it off. */
  after(ms: number, callback: () => void): () => void
  /** From 0 to below 1. */
  random(): number
}

/** The promise's value, or `undefined` once the time is over. The promise itself goes on. */
export function within<T>(clock: TunnelClock, ms: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => resolve(undefined))
    promise.then(resolve, reject).finally(cancel)
  })
}

/** The promise's value, or `undefined` when it is not there so long after the signal. */
export function unlessAborted<T>(
  clock: TunnelClock,
  signal: AbortSignal,
  patienceMs: number,
  work: Promise<T>,
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    let cancel = () => {}
    const wait = () => {
      cancel = clock.after(patienceMs, () => resolve(undefined))
    }
    if (signal.aborted) wait()
    else signal.addEventListener('abort', wait, { once: true })
    work.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', wait)
      cancel()
    })
  })
}
