/**
 * What the depot does by itself: last uses each minute, unfinished uploads and expired pins each hour, collection and a
 * copy of the database each day, the first time an hour after the start, so that a server that is restarted each night
 * collects as well.
 */

import type { Clock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { ScribeLink } from './scribe-messages.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** Returns the function that stops it. */
export function startMaintenance(scribe: ScribeLink, clock: Clock, log: Log): () => void {
  const stops = new Set<() => void>()
  let isStopped = false
  const repeat = (everyMs: number, what: string, work: () => Promise<unknown>, firstMs = everyMs) => {
    const stop = clock.after(firstMs, () => {
      stops.delete(stop)
      void work()
        .catch((error: unknown) => log.error({ err: error }, `the depot cannot ${what}`))
        .then(() => {
          if (!isStopped) repeat(everyMs, what, work)
        })
    })
    stops.add(stop)
  }
  repeat(minuteMs, 'write down what was used', () => scribe.call('noteUses', undefined as never))
  repeat(hourMs, 'end unfinished uploads', () => scribe.call('expire', undefined as never))
  const daily = async () => {
    await scribe.call('collect', { isDryRun: false })
    await scribe.call('backUp', undefined as never)
  }
  repeat(24 * hourMs, 'collect what is not used', daily, hourMs)
  return () => {
    isStopped = true
    for (const stop of stops) stop()
  }
}
