/** Messages between the answering thread and the thread that has the usage file. Each order gets one answer, in order. */
import type { PathUsage, UsagePeriod, UsageSummary } from '../../src/index.ts'
import type { ActivityRow } from './activity.ts'
import type { Batch } from './batch.ts'
import type { Retention } from './retention.ts'

export interface UsageThreadData {
  readonly file: string
  readonly storeDir: string
  readonly retention: Retention
}

/** `now`: milliseconds since 1970. */
export type UsageOrder =
  | { readonly kind: 'add'; readonly batch: Batch; readonly now: number }
  | { readonly kind: 'summarize'; readonly period: UsagePeriod; readonly now: number }
  | { readonly kind: 'of-path'; readonly storePath: string; readonly days: number; readonly now: number }
  | { readonly kind: 'activity' }
  | { readonly kind: 'close' }

export interface UsageAnswers {
  readonly add: undefined
  readonly summarize: UsageSummary
  readonly 'of-path': PathUsage
  readonly activity: readonly ActivityRow[]
  readonly close: undefined
}

export interface UsageAnswer {
  /** Undefined after a problem. */
  readonly value: unknown
  /** Why the file could not be used; for the log. */
  readonly problem: string | undefined
  /** A damaged file was moved here. */
  readonly movedAside: string | undefined
}
