/**
 * What clients did, for the log and the metrics. A large NAR is told by itself, as it ends or is cut; the rest,
 * thousands of which make up a closure or a stranger's guessing, is summed up by client and told every few seconds, and
 * one by one at level debug. Or, as the operator chooses, each request has its line at level info.
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
  /** Of the first request in the sum: where to begin looking at the edge. */
  readonly ray: string | undefined
  nars: number
  bytes: number
  /** Small NARs that did not come to their end. */
  cut: number
  refused: number
  /** Names that refused logins claimed. */
  readonly claimed: Set<string>
  postponed: number
  pushedPaths: number
  receivedBytes: number
  refusedPaths: number
  /** Why, without repetitions. */
  readonly reasons: Set<string>
}

const isNar: Readonly<Partial<Record<RouteName, true>>> = { nar: true, 'nar-compressed': true, 'nar-legacy': true }
/** From this on, bytes sent, a NAR has a line of its own. */
const largeBytes = 1024 * 1024
const sumMs = 10_000
/** Clients summed up at once: more are told early. */
const maxSums = 1000
/** Names in one line; a guesser may try thousands. */
const maxClaimed = 5
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
    [Symbol.dispose]: () => sums.tell(),
  }
}

function createSums(log: Logger, after: (ms: number, callback: () => void) => () => void) {
  const sums = new Map<string, Sum>()
  let callOff: (() => void) | undefined

  function tell(): void {
    callOff?.()
    callOff = undefined
    for (const sum of sums.values()) {
      const {
        nars,
        bytes,
        cut,
        refused,
        claimed,
        postponed,
        pushedPaths,
        receivedBytes,
        refusedPaths,
        reasons,
        ...who
      } = sum
      if (nars + cut > 0) log.info({ ...who, nars, bytes, cut }, 'Sent small NARs')
      if (refused > 0)
        log.info({ address: who.address, ray: who.ray, refused, claimed: [...claimed] }, 'Refused logins')
      if (pushedPaths + receivedBytes > 0) log.info({ ...who, paths: pushedPaths, receivedBytes }, 'Received a push')
      if (refusedPaths > 0)
        log.warn({ ...who, paths: refusedPaths, reasons: [...reasons] }, 'Refused a push, or part of one')
      if (postponed > 0) log.info({ ...who, postponed }, 'Asked a client to come again later')
    }
    sums.clear()
  }

  function sumOf({ user, address, ray }: Exchange): Sum {
    const key = `${user ?? ''}\0${address}`
    const known = sums.get(key)
    if (known !== undefined) return known
    if (sums.size >= maxSums) tell()
    callOff ??= after(sumMs, tell)
    const sum = {
      ...{ user, address, ray, nars: 0, bytes: 0, cut: 0, refused: 0, claimed: new Set<string>(), postponed: 0 },
      ...{ pushedPaths: 0, receivedBytes: 0, refusedPaths: 0, reasons: new Set<string>() },
    }
    sums.set(key, sum)
    return sum
  }

  return {
    tell,
    /** Narinfos and the other small things are nobody's traffic. */
    add(exchange: Exchange): void {
      const { route, method, status, bytes, isComplete, push } = exchange
      if (push !== undefined && push.receivedBytes + push.registered + push.refused > 0) addPush(sumOf(exchange), push)
      if (status === 401 || status === 429) {
        const sum = sumOf(exchange)
        sum.refused++
        if (exchange.claimedUser !== undefined && sum.claimed.size < maxClaimed) sum.claimed.add(exchange.claimedUser)
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
  if (!isComplete) return 'A reply was cut'
  return isNar[route] === true && status < 300 && method === 'GET' ? 'Sent a NAR' : 'Answered'
}

function fieldsOf(exchange: Exchange): object {
  const {
    route,
    method,
    target,
    status,
    user,
    claimedUser,
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
    claimedUser,
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
