/** Finds what to push: the closure of some paths of a local store, dependencies first. */
import { hashPartOf } from '../nix/store-path.ts'
import type { Store } from '../store/store.ts'
import { isPushable, type PushedObject } from './object-parts.ts'
import { PushFault } from './push-fault.ts'

export interface ClosureOptions {
  /** False: only the paths themselves. */
  readonly withReferences: boolean
  /** True for paths to leave out. */
  readonly isExcluded: (storePath: string) => boolean
}

/**
 * Each object once, after the objects it refers to. Rejects with a PushFault `unreadable` that names the first path that
 * is not valid in this store.
 */
export async function findClosure(
  store: Store,
  storePaths: readonly string[],
  { withReferences, isExcluded }: ClosureOptions,
): Promise<PushedObject[]> {
  const ordered: PushedObject[] = []
  const seen = new Set<string>()
  // An explicit stack, because closures can be deeper than the call stack.
  const stack = storePaths
    .toReversed()
    .map((storePath) => ({ storePath, object: undefined as PushedObject | undefined }))
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    if (top.object !== undefined) {
      ordered.push(top.object)
      continue
    }
    if (seen.has(top.storePath) || isExcluded(top.storePath)) continue
    seen.add(top.storePath)
    const object = await findObject(store, top.storePath)
    stack.push({ storePath: top.storePath, object })
    if (!withReferences) continue
    for (const reference of object.info.references)
      if (!seen.has(reference)) stack.push({ storePath: reference, object: undefined })
  }
  return ordered
}

async function findObject(store: Store, storePath: string): Promise<PushedObject> {
  const object = await store.find(hashPartOf(storePath))
  if (object === undefined || object.info.storePath !== storePath) {
    throw new PushFault(
      'unreadable',
      `Cannot push "${storePath}": it is not valid in this store (not built yet, or garbage-collected)`,
    )
  }
  if (!isPushable(object)) throw new Error(`"${storePath}" has no files on this machine`)
  return object
}
