/**
 * What clients did, for the log and the metrics. A large NAR is told by itself, as it ends; small ones, thousands of which make up a closure, are summed up by
 * client and told every few seconds; everything else, and the small ones one by one, at level debug.
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
    for (const sum of sums.values()) log.info(sum, 'Sent small NARs')
    sums.clear()
  }

  function addUp({ user, address, bytes }: Exchange): void {
    const key = `${user ?? ''}\0${address}`
    const sum = sums.get(key) ?? { user, address, nars: 0, bytes: 0 }
    sum.nars++
    sum.bytes += bytes
    sums.set(key, sum)
    if (sums.size > maxSums) tellSums()
    else callOff ??= after(sumMs, tellSums)
  }

  return {
    observer: {
      exchanged(exchange) {
        metrics?.count(exchange)
        const { route, status } = exchange
        const isSentNar = isNar[route] === true && exchange.method === 'GET' && status < 300 && exchange.isComplete
        if (isSentNar && exchange.bytes < largeBytes) addUp(exchange)
        if ((isSentNar && exchange.bytes >= largeBytes) || status === 401 || status === 429) log.info(fieldsOf(exchange), messageOf(exchange))
        else if (log.isLevelEnabled('debug')) log.debug(fieldsOf(exchange), messageOf(exchange))
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
