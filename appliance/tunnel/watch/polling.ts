/**
 * A question asked again and again: after a pause that each answer chooses, or at once when something makes it worth
 * it, but never twice at a time nor in quick succession.
 */
import type { TunnelClock } from '../tunnel-clock.ts'

/** Between an answer and the next question, however many lines make it worth asking. */
const leastMs = 250

export interface Polling {
  /** Asks now, or as soon as may be. */
  soon(): void
  stop(): void
}

/**
 * Begins with the first call of `soon`. @param ask resolves with the milliseconds until the next time; never rejects
 */
export function createPolling(clock: TunnelClock, ask: () => Promise<number>): Polling {
  let isAsking = false
  let isUrgent = false
  let isStopped = false
  let cancelRest: (() => void) | undefined
  let cancelPause: (() => void) | undefined

  async function run(): Promise<void> {
    cancelPause?.()
    isAsking = true
    isUrgent = false
    const pauseMs = await ask()
    isAsking = false
    if (isStopped) return
    cancelPause = clock.after(Math.max(leastMs, pauseMs), () => void run())
    cancelRest = clock.after(leastMs, () => {
      cancelRest = undefined
      if (isUrgent) void run()
    })
  }

  return {
    soon() {
      if (isStopped) return
      if (isAsking || cancelRest !== undefined) isUrgent = true
      else void run()
    },
    stop() {
      isStopped = true
      cancelRest?.()
      cancelPause?.()
    },
  }
}
