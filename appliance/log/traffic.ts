/**
 * Requests in the log and the metrics. Each large NAR has its own line. Smaller requests, of which a closure or a
 * password guesser makes thousands, are summed up by client and logged every 10 s, and one by one at level debug. With
 * `log.requests: "each"` every request has a line at level info.
 */
import type { Logger } from 'pino'

import { type Exchange, nameOf, type Observer, type PushTally, type RouteName } from '../../src/index.ts'
import type { TrafficMetrics } from '../operator/metrics.ts'

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

interface Sum {
  readonly user: string | undefined
  readonly address: string
  /** The CF-Ray of the first request, to find it in Cloudflare's logs. */
  readonly ray: string | undefined
  nars: number
  bytes: number
  /** Small NARs whose transfer was interrupted. */
  cut: number
  refused: number
  /** User names of the refused logins. */
  readonly attemptedUsers: Set<string>
  postponed: number
  pushedPaths: number
  receivedBytes: number
  refusedPaths: number
  /** Why, without repetitions. */
  readonly reasons: Set<string>
}

const isNar: Readonly<Partial<Record<RouteName, true>>> = { nar: true, 'nar-compressed': true, 'nar-legacy': true }
/** A NAR of which at least this much was sent has its own line. */
const largeBytes = 1024 * 1024
const sumMs = 10_000
/** Maximum number of clients in memory; when it is reached, the sums are logged early. */
const maxSums = 1000
/** Names in one line; a guesser may try thousands. */
const maxAttemptedUsers = 5
/** Reasons of refused pushes in one line. */
const maxReasons = 3

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

function createSums(log: Logger, after: (ms: number, callback: () => void) => () => void) {
  const sums = new Map<string, Sum>()
  let cancel: (() => void) | undefined

  function flush(): void {
    cancel?.()
    cancel = undefined
    for (const sum of sums.values()) {
      const {
        nars,
        bytes,
        cut,
        refused,
        attemptedUsers,
        postponed,
        pushedPaths,
        receivedBytes,
        refusedPaths,
        reasons,
        ...who
      } = sum
      if (nars + cut > 0) log.info({ ...who, nars, bytes, cut }, 'Sent small NARs')
      if (refused > 0)
        log.info({ address: who.address, ray: who.ray, refused, attemptedUsers: [...attemptedUsers] }, 'Refused logins')
      if (pushedPaths + receivedBytes > 0) log.info({ ...who, paths: pushedPaths, receivedBytes }, 'Received a push')
      if (refusedPaths > 0)
        log.warn({ ...who, paths: refusedPaths, reasons: [...reasons] }, 'Refused a push or a part of it')
      if (postponed > 0) log.info({ ...who, postponed }, 'Asked a client to retry later')
    }
    sums.clear()
  }

  function sumOf({ user, address, ray }: Exchange): Sum {
    const key = `${user ?? ''}\0${address}`
    const known = sums.get(key)
    if (known !== undefined) return known
    if (sums.size >= maxSums) flush()
    cancel ??= after(sumMs, flush)
    const sum = {
      ...{ user, address, ray, nars: 0, bytes: 0, cut: 0, refused: 0, attemptedUsers: new Set<string>(), postponed: 0 },
      ...{ pushedPaths: 0, receivedBytes: 0, refusedPaths: 0, reasons: new Set<string>() },
    }
    sums.set(key, sum)
    return sum
  }

  return {
    flush,
    /** Narinfos and other small replies are not counted as traffic. */
    add(exchange: Exchange): void {
      const { route, method, status, bytes, isComplete, push } = exchange
      if (push !== undefined && push.receivedBytes + push.registered + push.refused > 0) addPush(sumOf(exchange), push)
      if (status === 401 || status === 429) {
        const sum = sumOf(exchange)
        sum.refused++
        if (exchange.attemptedUser !== undefined && sum.attemptedUsers.size < maxAttemptedUsers)
          sum.attemptedUsers.add(exchange.attemptedUser)
      } else if (status === 503) sumOf(exchange).postponed++
      else if (isNar[route] === true && method === 'GET' && status < 300) {
        const sum = sumOf(exchange)
        if (isComplete) sum.nars++
        else sum.cut++
        sum.bytes += bytes
      }
    },
  }
}

function addPush(sum: Sum, { receivedBytes, registered, refused, refusal }: PushTally): void {
  sum.receivedBytes += receivedBytes
  sum.pushedPaths += registered
  sum.refusedPaths += refused
  if (refusal !== undefined && sum.reasons.size < maxReasons) sum.reasons.add(refusal)
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
