/** What clients did, for the log and the metrics. NARs are told one by one, the many small requests only at level debug. */
import type { Exchange, Log, Observer, RouteName } from '../src/index.ts'
import type { TrafficMetrics } from './metrics.ts'

const isNar: Readonly<Partial<Record<RouteName, true>>> = { nar: true, 'nar-compressed': true, 'nar-legacy': true }

export function createObserver(log: Log, metrics: TrafficMetrics | undefined): Observer {
  return {
    exchanged(exchange) {
      metrics?.count(exchange)
      const isToldApart =
        (isNar[exchange.route] === true && exchange.method === 'GET' && exchange.status < 400 && exchange.isComplete) ||
        exchange.status === 401 ||
        exchange.status === 429
      if (isToldApart) log.info(fieldsOf(exchange), messageOf(exchange))
      else log.debug(fieldsOf(exchange), messageOf(exchange))
    },
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
