/**
 * What clients did, for the log and the metrics. A large NAR is told by itself, as it ends; small ones, thousands of which make up a closure, and refused logins, of which
 * strangers can make any number, are summed up by client and told every few seconds; everything else, and those one by one, at level debug.
 */
import type { Logger } from 'pino'

import type { Exchange, Observer, RouteName } from '../src/index.ts'
import type { TrafficMetrics } from './metrics.ts'

export interface Traffic extends Disposable {
  readonly observer: Observer
}

interface Sum {
  readonly user: string | undefined
  readonly address: string
  nars: number
  bytes: number
  refused: number
}

const isNar: Readonly<Partial<Record<RouteName, true>>> = { nar: true, 'nar-compressed': true, 'nar-legacy': true }
/** From this on, bytes sent, a NAR has a line of its own. */
const largeBytes = 1024 * 1024
const sumMs = 10_000
/** Clients summed up at once: more are told early. */
const maxSums = 1000

/** `after` calls back once after so many milliseconds, unless its result is called before. */
export function createTraffic(log: Logger, metrics: TrafficMetrics | undefined, after: (ms: number, callback: () => void) => () => void): Traffic {
  const sums = new Map<string, Sum>()
  let callOff: (() => void) | undefined

  function tellSums(): void {
    callOff?.()
    callOff = undefined
    for (const { user, address, nars, bytes, refused } of sums.values()) {
      if (nars > 0) log.info({ user, address, nars, bytes }, 'Sent small NARs')
      if (refused > 0) log.info({ address, refused }, 'Refused logins')
    }
    sums.clear()
  }

  function sumOf({ user, address }: Exchange): Sum {
    if (sums.size >= maxSums) tellSums()
    callOff ??= after(sumMs, tellSums)
    const key = `${user ?? ''}\0${address}`
    const sum = sums.get(key) ?? { user, address, nars: 0, bytes: 0, refused: 0 }
    sums.set(key, sum)
    return sum
  }

  return {
    observer: {
      exchanged(exchange) {
        metrics?.count(exchange)
        const { route, status, bytes } = exchange
        const isSentNar = isNar[route] === true && exchange.method === 'GET' && status < 300 && exchange.isComplete
        if (isSentNar && bytes >= largeBytes) return log.info(fieldsOf(exchange), messageOf(exchange))
        if (isSentNar) {
          const sum = sumOf(exchange)
          sum.nars++
          sum.bytes += bytes
        } else if (status === 401 || status === 429) sumOf(exchange).refused++
        if (log.isLevelEnabled('debug')) log.debug(fieldsOf(exchange), messageOf(exchange))
      },
    },
    [Symbol.dispose]: tellSums,
  }
}

function messageOf({ route, status, isComplete }: Exchange): string {
  if (status === 401) return 'Refused a login'
  if (!isComplete) return 'A reply was cut'
  return isNar[route] === true && status < 400 ? 'Sent a NAR' : 'Answered'
}

function fieldsOf({ route, method, target, status, user, address, ray, bytes, durationMs, isComplete }: Exchange): object {
  const mbPerSecond = isNar[route] === true && bytes > 0 ? { mbPerSecond: Number((bytes / 1000 / Math.max(durationMs, 0.001)).toPrecision(3)) } : {}
  return { route, method, target, status, user, address, ray, bytes, ms: Math.round(durationMs), ...mbPerSecond, ...(isComplete ? {} : { isComplete }) }
}
