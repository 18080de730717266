/**
 * The closure of a store object, measured in slices: other requests get their turn between them, and a closure of
 * thousands of paths delays nothing. Upstreams are not asked.
 */
import { hashPartOf } from '../../../nix/store-path.ts'
import type { Lookup, StoreObject } from '../../../store/store.ts'

export interface ClosureMember {
  readonly storePath: string
  readonly narSize: number
}

export interface Closure {
  /** The largest first, with the object itself. */
  readonly members: readonly ClosureMember[]
  /** Bytes of all members' NARs. */
  readonly bytes: number
  /** References that are not on this machine. */
  readonly missing: number
  /** False if there are more paths than are measured. */
  readonly isWhole: boolean
}

const maxMembers = 20_000
/** A look-up takes 50 us. */
const sliceLength = 24

/** `isWanted`: false when nobody waits any more; the rest is then left out. */
export async function measureClosure(here: Lookup, root: StoreObject, isWanted: () => boolean): Promise<Closure> {
  const members: ClosureMember[] = [root.info]
  const seen = new Set([root.info.storePath])
  const waiting = [...root.info.references]
  let missing = 0
  for (let looked = 1; waiting.length > 0 && members.length < maxMembers; looked++) {
    const storePath = waiting.pop()!
    if (seen.has(storePath)) continue
    seen.add(storePath)
    const found = here.find(hashPartOf(storePath))
    const object = found instanceof Promise ? await found : found
    if (object === undefined) missing++
    else {
      members.push(object.info)
      for (const reference of object.info.references) if (!seen.has(reference)) waiting.push(reference)
    }
    if (looked % sliceLength !== 0) continue
    await new Promise((resolve) => setImmediate(resolve))
    if (!isWanted()) break
  }
  return {
    members: members.map(({ storePath, narSize }) => ({ storePath, narSize })).sort((a, b) => b.narSize - a.narSize),
    bytes: members.reduce((sum, { narSize }) => sum + narSize, 0),
    missing,
    isWhole: waiting.every((storePath) => seen.has(storePath)),
  }
}
