/**
 * Which of the paths of one commit may be registered. Pure but for its look-ups: it runs inside the transaction that
 * writes what it decides, so that of two commits in the same moment the second sees the first.
 */
import type { PathInfo } from '../../nix/path-info.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import type { Queries } from './sqlite/queries.ts'
import { type PushedPath, type Registered, refuse } from './types.ts'

/** A path with what was found out about it before the transaction. */
export interface Proposal {
  readonly path: PushedPath
  /** Decided without looking at what is here: a refusal. */
  readonly verdict?: Registered | undefined
  readonly isContentChecked: boolean
  /** The trusted key of another cache that signed it. */
  readonly upstreamKey: string | undefined
  readonly local: PathInfo | undefined
  readonly via: string
}

export interface Decision {
  readonly verdicts: readonly Registered[]
  /** To write, in an order in which references come first. */
  readonly accepted: readonly Proposal[]
  readonly elsewhere: readonly Proposal[]
  /** Here already; their signatures are to be united. */
  readonly present: readonly { readonly path: PushedPath; readonly signatures: readonly string[] }[]
}

const mostNamed = 3

export function decide(proposals: readonly Proposal[], records: Queries, rule: 'closed' | 'any'): Decision {
  const verdicts: (Registered | undefined)[] = proposals.map((proposal) => proposal.verdict ?? judge(proposal, records))
  const at = new Map<string, number>()
  const elsewhere = new Set<string>()
  proposals.forEach(({ path }, index) => {
    if (verdicts[index] === undefined && at.has(path.storePath))
      verdicts[index] = refuse('mismatch', `${path.storePath} is listed twice in one commit`)
    if (verdicts[index] === undefined) at.set(path.storePath, index)
    if (verdicts[index]?.status === 'elsewhere') elsewhere.add(path.storePath)
  })
  const isThere = (reference: string) =>
    at.has(reference) || elsewhere.has(reference) || records.hasPath(reference) || records.isElsewhere(reference)
  for (let hasChanged = rule === 'closed'; hasChanged; ) {
    hasChanged = false
    for (const [storePath, index] of at) {
      const missing = proposals[index]!.path.references.filter((reference) => !isThere(reference))
      if (missing.length === 0) continue
      const cause = proposals.findIndex(({ path }) => path.storePath === missing[0])
      verdicts[index] = refuse('missing-reference', describeMissing(storePath, missing, verdicts[cause]))
      at.delete(storePath)
      hasChanged = true
    }
  }
  const accepted = sortByReferences(proposals, at)
  const isAccepted = new Set(accepted)
  for (const index of at.values()) {
    if (!isAccepted.has(index))
      verdicts[index] = refuse('mismatch', `${proposals[index]!.path.storePath} is part of a reference cycle`)
  }
  return {
    verdicts: verdicts.map((verdict) => verdict ?? { status: 'registered' }),
    accepted: accepted.map((index) => proposals[index]!),
    elsewhere: proposals.filter(({ path }) => elsewhere.has(path.storePath)),
    present: proposals.flatMap(({ path }, index) => {
      if (verdicts[index]?.status !== 'present') return []
      const known = records.findObject(hashPartOf(path.storePath))!.info.signatures
      return [{ path, signatures: [...new Set([...known, ...path.signatures])] }]
    }),
  }
}

/** Undefined when only its references remain to be looked at. */
function judge({ path, upstreamKey, local }: Proposal, records: Queries): Registered | undefined {
  const { storePath, narHash, narSize, references, file } = path
  if (records.isForgotten(storePath, narHash))
    return refuse('policy', `${storePath} with this content was removed by an administrator and is no longer accepted`)
  const known = records.findObject(hashPartOf(storePath))
  const nar = records.findNar(narHash)
  if (known !== undefined) {
    if (
      known.info.storePath !== storePath ||
      known.info.narHash !== narHash ||
      known.info.references.join() !== references.join()
    ) {
      return { status: 'conflict', since: known.pushedAt, by: known.pushedBy, narHash: known.info.narHash }
    }
    if (!known.nar.isDamaged) return { status: 'present' }
  }
  if (local !== undefined && local.narHash !== narHash) {
    return {
      status: 'conflict',
      since: local.registrationTime * 1000,
      by: "this cache's own machine",
      narHash: local.narHash,
    }
  }
  if (nar === undefined || nar.isDamaged) {
    if (upstreamKey !== undefined) return { status: 'elsewhere' }
    return refuse('missing-nar', `The NAR of ${storePath} is not here: send it first`)
  }
  if (known !== undefined) return { status: 'present' }
  if (nar.narSize !== narSize) return refuse('mismatch', `NarSize of ${storePath} is ${nar.narSize}, not ${narSize}`)
  return file === undefined ? undefined : judgeFile(path, records)
}

function judgeFile({ storePath, narHash, file }: PushedPath, records: Queries): Registered | undefined {
  const { fileHash, fileSize, compression } = file!
  const claim = records.findClaim(fileHash)
  if (claim === undefined) return refuse('missing-nar', `The file of ${storePath} is not here: send it first`)
  if (claim.narHash !== narHash)
    return refuse('mismatch', `NarHash of ${storePath} is ${claim.narHash}, not ${narHash}`)
  if (claim.compression !== compression)
    return refuse('mismatch', `Compression of ${storePath} is ${claim.compression}, not ${compression}`)
  if (fileSize !== undefined && claim.fileSize !== fileSize)
    return refuse('mismatch', `FileSize of ${storePath} is ${claim.fileSize}, not ${fileSize}`)
  return undefined
}

function describeMissing(storePath: string, missing: readonly string[], cause: Registered | undefined): string {
  if (cause?.status === 'refused') return `${storePath} refers to ${missing[0]}, which was refused: ${cause.reason}`
  const more = missing.length > mostNamed ? ` and ${missing.length - mostNamed} more` : ''
  return `${storePath} refers to ${missing.slice(0, mostNamed).join(', ')}${more}, which this cache does not have: push the whole closure`
}

/** Leaves out what is part of a circle, and what leads to one. */
function sortByReferences(proposals: readonly Proposal[], at: ReadonlyMap<string, number>): number[] {
  const waitsFor = new Map<number, number>()
  const waiting = new Map<number, number[]>()
  const ready: number[] = []
  for (const [storePath, index] of at) {
    const others = proposals[index]!.path.references.filter((reference) => reference !== storePath && at.has(reference))
    waitsFor.set(index, others.length)
    if (others.length === 0) ready.push(index)
    for (const other of others) {
      const dependants = waiting.get(at.get(other)!)
      if (dependants) dependants.push(index)
      else waiting.set(at.get(other)!, [index])
    }
  }
  for (let next = 0; next < ready.length; next++) {
    for (const dependant of waiting.get(ready[next]!) ?? []) {
      const left = waitsFor.get(dependant)! - 1
      waitsFor.set(dependant, left)
      if (left === 0) ready.push(dependant)
    }
  }
  return ready
}
