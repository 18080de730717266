/**
 * A commit of protocol B: what is whole is registered, what is being checked is waited for, and what is missing is
 * named.
 */

import { formatRanges } from '../../nar/part-ranges.ts'
import type { Acceptance, Commit } from './acceptance.ts'
import type { Assemblies } from './assemblies.ts'
import type { WriterHost } from './host.ts'
import { findSigningKey } from './path-rules.ts'
import type { Records } from './sqlite/records.ts'
import type { DepotPolicy, PushedPath, Registered } from './types.ts'

export type Committed =
  | Registered
  /** Still being checked, or held back by another path of an atomic commit that is: ask again in a moment. */
  | { readonly status: 'pending' }
  /** Parts are missing; without `partBytes` all of it is. */
  | { readonly status: 'incomplete'; readonly partBytes?: number; readonly missing?: string }

export interface CommitOptions extends Commit {
  /** How long to wait for checks under way. */
  readonly waitMs: number
}

export interface CommittingParts {
  readonly records: Records
  readonly policy: DepotPolicy
  readonly host: WriterHost
  readonly assemblies: Assemblies
  readonly acceptance: Acceptance
}

export async function commitPaths(options: CommitOptions, parts: CommittingParts): Promise<readonly Committed[]> {
  const { records, assemblies, acceptance } = parts
  const { paths, who, isAtomic, waitMs } = options
  const isHere = (path: PushedPath) => records.findNar(path.narHash)?.isDamaged === false
  const absent = paths.filter((path) => !isHere(path)).map(({ narHash }) => narHash)
  if (absent.length > 0) {
    let timer: NodeJS.Timeout | undefined
    await assemblies.settle(who.user, absent, new Promise((resolve) => (timer = setTimeout(resolve, waitMs))))
    clearTimeout(timer)
  }
  const verdicts: (Committed | undefined)[] = []
  for (const path of paths) verdicts.push(isHere(path) ? undefined : await judgeAbsent(path, who.user, parts))
  const ready = paths.filter((_path, at) => verdicts[at] === undefined)
  const isHeldBack = isAtomic && ready.length < paths.length
  // An atomic commit that cannot be complete now changes nothing.
  const registered: readonly Committed[] = isHeldBack
    ? ready.map(() => ({ status: 'pending' }))
    : await acceptance.register({ ...options, paths: ready, ...withPin(options, ready) })
  let next = 0
  return verdicts.map((verdict) => verdict ?? registered[next++]!)
}

/** A pin waits until every path of its commit is here. */
function withPin({ pin, paths }: CommitOptions, ready: readonly PushedPath[]): { readonly pin?: undefined } {
  return pin !== undefined && ready.length < paths.length ? { pin: undefined } : {}
}

/** Undefined when `register` can decide: an upstream has signed it, or the local store can give it. */
async function judgeAbsent(
  path: PushedPath,
  user: string,
  { policy, host, assemblies }: CommittingParts,
): Promise<Committed | undefined> {
  const state = assemblies.stateOf(user, path.narHash, path.narSize)
  if (state.kind === 'failed') return state.refusal
  if (state.kind === 'checking') return { status: 'pending' }
  if (findSigningKey(path, policy.upstreamKeys) !== undefined) return undefined
  const [local] = await host.describeLocal([path.storePath])
  if (local !== undefined) return undefined
  return state.kind === 'none'
    ? { status: 'incomplete' }
    : { status: 'incomplete', partBytes: state.partBytes, missing: formatRanges(state.missing) }
}
