/**
 * Usage figures: recorded from requests and the state of the tunnel, stored by a thread, asked by pages, the operator's
 * listener and `burrow usage`.
 */
import { join } from 'node:path'

import { type Log, type MissedPath, nameOf, type Observer, type Usage } from '../../src/index.ts'
import type { TunnelStatus } from '../tunnel/tunnel.ts'
import { Activity } from './activity.ts'
import { createDropWatch } from './drop-watch.ts'
import { createRecorder } from './recorder.ts'
import { usageFileName } from './usage-file.ts'
import { UsageThread } from './usage-thread.ts'

export interface AnalyticsOptions {
  readonly stateDir: string
  readonly storeDir: string
  readonly keepDays: number
  readonly keepAddressesDays: number
  /** Whether a store on this machine has it. */
  readonly isHere: (hashPart: string) => Promise<boolean>
  /** The store path that would have this hash part, if something names it. */
  readonly findExpected: (hashPart: string) => string | undefined
  readonly log: Log
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly after: (ms: number, callback: () => void) => () => void
  readonly maxBytes?: number
}

export interface Analytics extends AsyncDisposable {
  readonly observer: Observer
  readonly usage: Usage
  tunnelChanged(status: TunnelStatus): void
}

/** Of the file; a team of ten fills some MB a year. */
const defaultMaxBytes = 256 * 1024 * 1024
const maxMissedShown = 50
/** Batches that may wait for the disk. */
const maxBatchesWaiting = 2

export function openAnalytics(options: AnalyticsOptions): Analytics {
  const { stateDir, storeDir, keepDays, keepAddressesDays, log, now, after } = options
  const thread = new UsageThread(
    {
      file: join(stateDir, usageFileName),
      storeDir,
      retention: { keepDays, keepAddressesDays, maxBytes: options.maxBytes ?? defaultMaxBytes },
    },
    log,
  )
  const activity = new Activity(keepAddressesDays)
  // Before the first batch, so that nothing is counted twice.
  void thread.ask({ kind: 'activity' }).then((rows) => activity.addRows(rows ?? []))
  let batchesWaiting = 0
  let last: Promise<unknown> = Promise.resolve()
  const recorder = createRecorder({
    now,
    after,
    keepsNetworks: keepAddressesDays > 0,
    pass(batch) {
      if (batchesWaiting >= maxBatchesWaiting) return false
      batchesWaiting++
      activity.addBatch(batch)
      last = thread.ask({ kind: 'add', batch, now: now() }).finally(() => {
        batchesWaiting--
      })
      return true
    },
  })
  const drops = createDropWatch(recorder.noteDrop, now)
  return {
    observer: recorder.observer,
    tunnelChanged: drops.tunnelChanged,
    usage: {
      keepDays,
      async summarize(period) {
        recorder.flush()
        const summary = await thread.ask({ kind: 'summarize', period, now: now() })
        if (summary === undefined) return undefined
        const missed = await withoutPresent(summary.missed, options.isHere)
        // What a derivation of this machine is called is not for everybody who has a hash.
        return { ...summary, missed: period.user === undefined ? named(missed, options.findExpected) : missed }
      },
      ofPath(storePath, days) {
        recorder.flush()
        return thread.ask({ kind: 'of-path', storePath, days, now: now() })
      },
      activity() {
        recorder.flush()
        return activity.read(now())
      },
    },
    async [Symbol.asyncDispose]() {
      await last
      drops.stop()
      recorder.flush()
      await thread.close()
    },
  }
}

function named(missed: readonly MissedPath[], findExpected: AnalyticsOptions['findExpected']): MissedPath[] {
  return missed.map((one) => {
    const expected = one.name === undefined ? findExpected(one.hashPart) : undefined
    return expected === undefined ? one : { ...one, name: nameOf(expected) }
  })
}

/** Pushed or built since they were asked for. */
async function withoutPresent(
  missed: readonly MissedPath[],
  isHere: (hashPart: string) => Promise<boolean>,
): Promise<MissedPath[]> {
  const shown: MissedPath[] = []
  for (const one of missed) {
    if (shown.length >= maxMissedShown) break
    if (!(await isHere(one.hashPart))) shown.push(one)
  }
  return shown
}
