/**
 * Usage figures: what was sent, to whom, what it saved, and what was asked for and is not here. The interface for pages;
 * the appliance records and stores the figures. Days are days of UTC. Only admitted requests are counted.
 */
import type { UserActivity } from './team.ts'

export interface UsagePeriod {
  /** The current day and the ones before it; at least 1. */
  readonly days: number
  /** Only this user's figures; `''` for requests without a login (public caches). Undefined: those of all. */
  readonly user?: string | undefined
}

export interface UsageFigures {
  /** Requests of any kind. */
  readonly requests: number
  /** Body bytes sent, in replies of any kind. */
  readonly bytes: number
  /** NARs that a client has received to the last byte, in one transfer or several. */
  readonly downloads: number
  /** Transfers of NARs that were interrupted. */
  readonly cut: number
  /** Bytes of NARs that were not sent because they were sent compressed. */
  readonly compressionSaved: number
  /** Bytes of compressed NARs that were not sent because a delta was sent in their place. */
  readonly deltaSaved: number
  /** Bytes of NARs that came from an upstream cache at the time of the request. */
  readonly upstreamBytes: number
  readonly pushedPaths: number
  /** Body bytes of pushes. */
  readonly receivedBytes: number
}

export interface UserUsage extends UsageFigures {
  readonly user: string
  /** Milliseconds since 1970, to some seconds. */
  readonly lastAt: number
}

export interface DayUsage extends UsageFigures {
  /** `2026-11-27` */
  readonly day: string
  /** The share of the users who received most in the period, at most five; the rest is everybody else. */
  readonly users: readonly { readonly user: string; readonly bytes: number; readonly requests: number }[]
}

export interface PathUsage {
  readonly storePath: string
  readonly downloads: number
  readonly bytes: number
  /** How many different users downloaded it. */
  readonly users: number
  /** Undefined if it was not downloaded in the period. */
  readonly lastAt: number | undefined
}

/** Asked for and not here. */
export interface MissedPath {
  readonly hashPart: string
  /** Nix sends only the hash part: the name is known only if something here names it. */
  readonly name: string | undefined
  readonly asks: number
  readonly users: number
  readonly firstAt: number
  readonly lastAt: number
}

/** A large NAR, with its speed as the client saw it: from its request to the last byte. */
export interface SlowTransfer {
  readonly at: number
  readonly user: string
  readonly storePath: string
  readonly bytes: number
  readonly durationMs: number
  readonly isComplete: boolean
}

/** The tunnel was not connected. */
export interface TunnelDrop {
  readonly from: number
  /** Undefined while it lasts, or if Burrow ended in it. */
  readonly until: number | undefined
  readonly reason: string
}

export interface UsageSummary {
  /** Start of the first day, and the time of the last figures. */
  readonly from: number
  readonly to: number
  readonly total: UsageFigures
  /** One for each day of the period, the oldest first, also for days without requests. */
  readonly days: readonly DayUsage[]
  /** Those who received most first; at most 100. */
  readonly users: readonly UserUsage[]
  /** Those with the most bytes first; at most 50. */
  readonly paths: readonly PathUsage[]
  /** Those asked for most first, by number of users and requests; at most 50. Without those that are here by now. */
  readonly missed: readonly MissedPath[]
  /** Of all requests for absent paths in the period, listed or not. */
  readonly missedAsks: number
  /** The slowest first; at most 20. */
  readonly slowest: readonly SlowTransfer[]
  /** The latest first, at most 100; empty when a user was named. */
  readonly drops: readonly TunnelDrop[]
}

/** Answers are `undefined` while the figures cannot be read; none rejects. */
export interface Usage {
  /** How long figures are kept: the longest period that makes sense. */
  readonly keepDays: number
  summarize(period: UsagePeriod): Promise<UsageSummary | undefined>
  /** For all users. */
  ofPath(storePath: string, days: number): Promise<PathUsage | undefined>
  /** By user, for as long as figures are kept; to some seconds. `address` is a network: `203.0.113.0/24`, or `local`. */
  activity(): ReadonlyMap<string, UserActivity>
}
