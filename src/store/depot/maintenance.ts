/**
 * What the depot does by itself: last uses each minute, unfinished uploads and expired pins each hour, collection and a
 * copy of the database each day, the first time an hour after the start, so that a server that is restarted each night
 * collects as well.
 */

import type { Clock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { WriterLink } from './writer-messages.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** Returns the function that stops it. */
export function startMaintenance(writer: WriterLink, clock: Clock, log: Log): () => void {
  const stops = new Set<() => void>()
  let isStopped = false
  const repeat = (everyMs: number, what: string, work: () => Promise<unknown>, firstMs = everyMs) => {
    const stop = clock.after(firstMs, () => {
      stops.delete(stop)
      void work()
        .catch((error: unknown) => log.error({ err: error }, `the depot could not ${what}`))
        .then(() => {
          if (!isStopped) repeat(everyMs, what, work)
        })
    })
    stops.add(stop)
  }
  repeat(minuteMs, 'record when objects were last used', () => writer.call('noteUses', undefined as never))
  repeat(hourMs, 'expire unfinished uploads', () => writer.call('expire', undefined as never))
  const daily = async () => {
    await writer.call('collect', { isDryRun: false })
    await writer.call('backUp', undefined as never)
  }
  repeat(24 * hourMs, 'collect garbage', daily, hourMs)
  return () => {
    isStopped = true
    for (const stop of stops) stop()
  }
}
