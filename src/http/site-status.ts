/** How the cache is doing, as pages show it: what the cache knows itself, and what only the program around it knows. */
import type { LarderStats } from '../larder/larder.ts'
import type { StoreHealth } from '../store/health.ts'

/** Known outside of the cache. */
export interface ServiceStatus {
  readonly startedAt: Date
  /** Undefined: there is none. */
  readonly tunnel: TunnelView | undefined
  /** Since the start. */
  readonly traffic: {
    readonly requests: number
    /** Body bytes sent. */
    readonly bytes: number
    readonly pushedPaths: number
    readonly receivedBytes: number
  }
}

export interface TunnelView {
  /** `fail`: someone must act. `warn`: it passes. */
  readonly grade: 'ok' | 'warn' | 'fail'
  /** `connected (4 connections)`. */
  readonly state: string
  readonly since: Date
  readonly restarts: number
  readonly lastConnected: Date | undefined
  /** A clause without a full stop. May name files of the machine: for administrators. */
  readonly reason: string
  readonly remedy: string | undefined
}

export interface SiteStatus {
  readonly now: Date
  readonly service: ServiceStatus | undefined
  readonly stores: readonly StoreHealth[]
  readonly larder: LarderStats | undefined
  readonly transfersUnderWay: number
  readonly transfersWaiting: number
  /** All paths are answered as absent, because the stores cannot be read. */
  readonly answersAbsent: boolean
}
