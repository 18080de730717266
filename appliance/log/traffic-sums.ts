/** Requests summed up by client: one log line for each kind, every 10 s. */
import type { Logger } from 'pino'

import type { Exchange, PushTally, RouteName } from '../../src/index.ts'

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

export const isNar: Readonly<Partial<Record<RouteName, true>>> = {
  nar: true,
  'nar-compressed': true,
  'nar-legacy': true,
}

const sumMs = 10_000
/** Maximum number of clients in memory; when it is reached, the sums are logged early. */
const maxSums = 1000
/** Names in one line; a guesser may try thousands. */
const maxAttemptedUsers = 5
/** Reasons of refused pushes in one line. */
const maxReasons = 3

export function createSums(log: Logger, after: (ms: number, callback: () => void) => () => void) {
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
