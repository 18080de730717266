/**
 * Requests in the log and the metrics. Each large NAR has its own line. Smaller requests, of which a closure or a
 * password guesser makes thousands, are summed up by client and logged every 10 s, and one by one at level debug. With
 * `log.requests: "each"` every request has a line at level info.
 */
import type { Logger } from 'pino'

import { type Exchange, nameOf, type Observer } from '../../src/index.ts'
import type { TrafficMetrics } from '../operator/metrics.ts'
import { createSums, isNar } from './traffic-sums.ts'

/** Since the start. */
export interface TrafficTotals {
  readonly requests: number
  /** Of bodies sent. */
  readonly bytes: number
  readonly pushedPaths: number
  /** Of bodies of pushes. */
  readonly receivedBytes: number
}

export interface Traffic extends Disposable {
  readonly observer: Observer
  readonly totals: TrafficTotals
}

/** `each`: a line at level info for every request. */
export type RequestLog = 'summed' | 'each'

/** A NAR of which at least this much was sent has its own line. */
const largeBytes = 1024 * 1024

/** `after` calls back once after so many milliseconds, unless its result is called before. */
export function createTraffic(
  log: Logger,
  metrics: TrafficMetrics | undefined,
  after: (ms: number, callback: () => void) => () => void,
  requests: RequestLog = 'summed',
): Traffic {
  const sums = createSums(log, after)
  const totals = { requests: 0, bytes: 0, pushedPaths: 0, receivedBytes: 0 }
  return {
    totals,
    observer: {
      exchanged(exchange) {
        metrics?.count(exchange)
        totals.requests++
        totals.bytes += exchange.bytes
        totals.pushedPaths += exchange.push?.registered ?? 0
        totals.receivedBytes += exchange.push?.receivedBytes ?? 0
        const isLarge =
          isNar[exchange.route] === true &&
          exchange.method === 'GET' &&
          exchange.status < 300 &&
          exchange.bytes >= largeBytes
        if (requests === 'each' || isLarge) return log.info(fieldsOf(exchange), messageOf(exchange))
        sums.add(exchange)
        if (log.isLevelEnabled('debug')) log.debug(fieldsOf(exchange), messageOf(exchange))
      },
    },
    [Symbol.dispose]: () => sums.flush(),
  }
}

function messageOf({ route, status, method, isComplete }: Exchange): string {
  if (status === 401) return 'Refused a login'
  if (!isComplete) return 'A reply was interrupted'
  return isNar[route] === true && status < 300 && method === 'GET' ? 'Sent a NAR' : 'Answered'
}

function fieldsOf(exchange: Exchange): object {
  const {
    route,
    method,
    target,
    status,
    user,
    attemptedUser,
    storePath,
    servedFrom,
    address,
    ray,
    bytes,
    durationMs,
    isComplete,
    push,
  } = exchange
  const mbPerSecond =
    isNar[route] === true && bytes > 0
      ? { mbPerSecond: Number((bytes / 1000 / Math.max(durationMs, 0.001)).toPrecision(3)) }
      : {}
  const name = storePath && nameOf(storePath)
  return {
    route,
    name,
    method,
    target,
    status,
    user,
    attemptedUser,
    address,
    ray,
    bytes,
    ms: Math.round(durationMs),
    ...mbPerSecond,
    servedFrom,
    isComplete,
    ...push,
  }
}
