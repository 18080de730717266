/** What was counted in some seconds: the message from the recorder to the thread that stores it. */

export interface Batch {
  /** When it began; all of it is in the same hour of UTC. Milliseconds since 1970. */
  readonly at: number
  readonly users: readonly UserSum[]
  readonly slow: readonly SlowSum[]
  readonly drops: readonly DropChange[]
}

export interface UserSum {
  /** `''` for requests without a login. */
  readonly user: string
  requests: number
  bytes: number
  downloads: number
  cut: number
  compressionSaved: number
  deltaSaved: number
  upstreamBytes: number
  pushedPaths: number
  receivedBytes: number
  /** By base name; `''` for those above a limit. */
  readonly paths: Map<string, { downloads: number; bytes: number }>
  /** Number of requests by hash part; `''` for those above a limit. */
  readonly missed: Map<string, number>
  readonly networks: Set<string>
}

export interface SlowSum {
  readonly at: number
  readonly user: string
  readonly baseName: string
  readonly bytes: number
  readonly durationMs: number
  readonly isComplete: boolean
}

/** The tunnel was lost, or (with `until`) is back. */
export interface DropChange {
  readonly from: number
  readonly until: number | undefined
  readonly reason: string
}

export function createUserSum(user: string): UserSum {
  return {
    ...{ user, requests: 0, bytes: 0, downloads: 0, cut: 0, compressionSaved: 0, deltaSaved: 0, upstreamBytes: 0 },
    ...{ pushedPaths: 0, receivedBytes: 0, paths: new Map(), missed: new Map(), networks: new Set() },
  }
}
