/** What is learned from requests: lines in the log, metrics, and usage figures, or at least what users did lately. */
import type { Logger } from 'pino'

import {
  type Observer,
  type Store,
  systemClock,
  type Usage,
  type UserActivity,
  withoutUpstreams,
} from '../../src/index.ts'
import { openAnalytics } from '../analytics/analytics.ts'
import type { Config } from '../config/config.ts'
import { createTraffic, type TrafficTotals } from '../log/traffic.ts'
import type { TrafficMetrics } from '../operator/metrics.ts'
import type { TunnelStatus } from '../tunnel/tunnel.ts'
import { createActivity } from '../users/activity.ts'
import { isHere } from './store-checks.ts'

export interface Observation extends AsyncDisposable {
  readonly observer: Observer
  readonly totals: TrafficTotals
  /** Undefined: usage figures are switched off. */
  readonly usage: Usage | undefined
  readActivity(): (name: string) => UserActivity | undefined
  tunnelChanged(status: TunnelStatus): void
}

export interface ObservationOptions {
  readonly config: Config
  readonly stores: readonly Store[]
  readonly findExpected: Parameters<typeof openAnalytics>[0]['findExpected']
  readonly metrics: TrafficMetrics | undefined
  readonly log: Logger
}

export function openObservation({ config, stores, findExpected, metrics, log }: ObservationOptions): Observation {
  const traffic = createTraffic(log, metrics, systemClock.after, config.log.requests)
  const here = withoutUpstreams(stores)
  const analytics =
    config.analytics &&
    openAnalytics({
      ...config.analytics,
      stateDir: config.state.dir,
      storeDir: config.store.dir,
      isHere: (hashPart) => isHere(here, hashPart),
      findExpected,
      log,
      now: Date.now,
      after: systemClock.after,
    })
  const activity = createActivity(Date.now)
  return {
    observer: tee(traffic.observer, analytics?.observer ?? activity.observer),
    totals: traffic.totals,
    usage: analytics?.usage,
    readActivity() {
      const stored = analytics?.usage.activity()
      return (name) => (stored === undefined ? activity.of(name) : stored.get(name))
    },
    tunnelChanged: (status) => analytics?.tunnelChanged(status),
    async [Symbol.asyncDispose]() {
      await analytics?.[Symbol.asyncDispose]()
      traffic[Symbol.dispose]()
    },
  }
}

const tee = (first: Observer, second: Observer): Observer => ({
  exchanged(exchange) {
    first.exchanged(exchange)
    second.exchanged(exchange)
  },
})
