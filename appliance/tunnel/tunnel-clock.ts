/** Time and randomness as the tunnel sees them, so that tests can set them. */
import type { Clock } from '../../src/index.ts'

export interface TunnelClock extends Pick<Clock, 'after'> {
  /**
   * Milliseconds since 1970, for timestamps. Use `after` for intervals: changes of the system clock do not affect it.
   */
  now(): number
  /** From 0 to below 1. */
  random(): number
}

/** The promise's value, or `undefined` after a timeout. The promise itself is not cancelled. */
export function within<T>(clock: TunnelClock, ms: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => resolve(undefined))
    promise.then(resolve, reject).finally(cancel)
  })
}

/** The promise's value, or `undefined` if it is still pending `patienceMs` after the signal. */
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
