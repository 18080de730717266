/**
 * What users did since the start of this process: when and from where they were last seen, and how much they fetched and
 * sent. In memory only: for a Burrow without usage figures (analytics/).
 */
import type { Exchange, UserActivity } from '../../src/index.ts'

export interface Activity {
  readonly observer: { exchanged(exchange: Exchange): void }
  of(name: string): UserActivity | undefined
}

/** More names than users: visitors from Cloudflare Access have names too. */
const maxNames = 5000
/** The address is worked out from headers, so not for each of thousands of narinfos. */
const addressEveryMs = 1000

interface Sum {
  lastSeenMs: number
  addressMs: number
  address: string | undefined
  requests: number
  sentBytes: number
  receivedBytes: number
}

export function createActivity(now: () => number): Activity {
  const sums = new Map<string, Sum>()

  function sumOf(name: string): Sum {
    const found = sums.get(name)
    if (found !== undefined) return found
    for (const oldest of sums.keys()) {
      if (sums.size < maxNames) break
      sums.delete(oldest)
    }
    const sum = { lastSeenMs: 0, addressMs: 0, address: undefined, requests: 0, sentBytes: 0, receivedBytes: 0 }
    sums.set(name, sum)
    return sum
  }

  return {
    observer: {
      exchanged(exchange) {
        if (exchange.user === undefined) return
        const sum = sumOf(exchange.user)
        const nowMs = now()
        sum.lastSeenMs = nowMs
        sum.requests++
        sum.sentBytes += exchange.bytes
        sum.receivedBytes += exchange.push?.receivedBytes ?? 0
        if (nowMs - sum.addressMs < addressEveryMs) return
        sum.addressMs = nowMs
        sum.address = exchange.address
      },
    },
    of(name) {
      const sum = sums.get(name)
      if (sum === undefined) return undefined
      const { lastSeenMs, requests, sentBytes, receivedBytes, address } = sum
      return { lastSeen: new Date(lastSeenMs), requests, sentBytes, receivedBytes, address }
    },
  }
}
