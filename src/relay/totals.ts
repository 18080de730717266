/** What a relay has counted since it was set up: it ends while it is idle, and the counts go on. */

/** Bytes where the name says so, else numbers of things. */
export interface RelayTotals {
  /** ISO 8601. */
  readonly since: string
  readonly narInfos: { readonly asked: number; readonly recalled: number }
  readonly nars: {
    readonly sent: number
    readonly failed: number
    /** Fetched before Nix asked. */
    readonly prefetched: number
    /** Cuts that were continued. */
    readonly resumed: number
    readonly byDelta: number
  }
  /** Of NARs as Nix got them, and of everything that arrived over the line. */
  readonly bytes: { readonly nars: number; readonly received: number; readonly savedByDeltas: number }
}

export function addTotals(earlier: RelayTotals | undefined, totals: RelayTotals): RelayTotals {
  if (earlier === undefined) return totals
  return {
    since: earlier.since,
    narInfos: add(earlier.narInfos, totals.narInfos),
    nars: add(earlier.nars, totals.nars),
    bytes: add(earlier.bytes, totals.bytes),
  }
}

/** What is counted has the same names on both sides. */
function add<T extends object>(left: T, right: T): T {
  const before = left as Readonly<Record<string, number>>
  return Object.fromEntries(Object.entries(right).map(([name, value]) => [name, value + (before[name] ?? 0)])) as T
}
