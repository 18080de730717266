/**
 * What of a list of paths must be sent: a pure question, answered by the reading connection in slices, so that no
 * request waits for thousands of signatures.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { countParts, formatRanges, partsHere } from '../../nar/part-ranges.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import type { WriterHost } from './host.ts'
import { findSigningKey, normalisePath, PathRules } from './path-rules.ts'
import type { Queries } from './sqlite/queries.ts'
import { type Conflict, type DepotPolicy, type PathRecord, type Refusal, refuse } from './types.ts'

export type Planned =
  | { readonly status: 'present' | 'elsewhere' | 'have-nar' }
  | { readonly status: 'upload'; readonly count: number; readonly have: string }
  | Conflict
  | Refusal

export interface Plan {
  readonly paths: readonly Planned[]
  /** `needed`: bytes of NAR to be sent, before compression. */
  readonly room: { readonly needed: number; readonly free: number }
}

export interface PlanParts {
  readonly storeDir: string
  readonly policy: DepotPolicy
  readonly records: Queries
  readonly local: Pick<WriterHost, 'describeLocal'>
  readonly freeBytes: number
  /** Keeps a path for a day: its pusher will refer to it. */
  readonly promise: (storePath: string) => void
}

const pathsATurn = 50

export async function planPaths(
  paths: readonly PathRecord[],
  partBytes: number,
  user: string,
  parts: PlanParts,
): Promise<Plan> {
  const { records, local } = parts
  const rules = new PathRules(parts.storeDir, parts.policy)
  const unknown = paths.filter(({ storePath }) => !records.hasPath(storePath)).map(({ storePath }) => storePath)
  const locals = new Map((await local.describeLocal(unknown)).map((info, at) => [unknown[at]!, info]))
  const planned: Planned[] = []
  let needed = 0
  for (const [at, path] of paths.entries()) {
    if (at % pathsATurn === pathsATurn - 1) await nextTurn()
    const answer = planOne(path, locals.get(path.storePath), rules, partBytes, user, parts)
    if (answer.status === 'upload') needed += path.narSize
    planned.push(answer)
  }
  return { paths: planned, room: { needed, free: parts.freeBytes } }
}

function planOne(
  given: PathRecord,
  local: { readonly narHash: string; readonly registrationTime: number } | undefined,
  rules: PathRules,
  partBytes: number,
  user: string,
  { storeDir, policy, records, promise }: PlanParts,
): Planned {
  const path = normalisePath(given, storeDir)
  if ('status' in path) return path
  const { storePath, narHash, narSize } = path
  const refusal = rules.checkName(storePath)
  if (refusal !== undefined) return refusal
  if (records.isForgotten(storePath, narHash))
    return refuse('policy', `${storePath} with this content was removed by an administrator and is no longer accepted`)
  const known = records.findObject(hashPartOf(storePath))
  if (known !== undefined) {
    const isSame =
      known.info.storePath === storePath &&
      known.info.narHash === narHash &&
      known.info.references.join() === path.references.join()
    if (!isSame) return { status: 'conflict', since: known.pushedAt, by: known.pushedBy, narHash: known.info.narHash }
    if (!known.nar.isDamaged) {
      // What was promised to be present must not be collected before the commit.
      promise(storePath)
      return { status: 'present' }
    }
  }
  if (local !== undefined && local.narHash !== narHash) {
    return {
      status: 'conflict',
      since: local.registrationTime * 1000,
      by: "this cache's own machine",
      narHash: local.narHash,
    }
  }
  const nar = records.findNar(narHash)
  if ((nar !== undefined && !nar.isDamaged) || local !== undefined) return { status: 'have-nar' }
  if (findSigningKey(path, policy.upstreamKeys) !== undefined) return { status: 'elsewhere' }
  if (narSize > policy.maxNarBytes)
    return refuse(
      'too-big',
      `The NAR of ${storePath} is larger than ${policy.maxNarBytes} bytes, the limit of this cache`,
    )
  const assembly = records.findAssembly(user, narHash, narSize, partBytes)
  const have = assembly === undefined ? [] : partsHere(assembly.flushedParts, records.waitingParts(assembly.id))
  return { status: 'upload', count: countParts(narSize, partBytes), have: formatRanges(have) }
}
