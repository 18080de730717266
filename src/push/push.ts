/**
 * Pushes store paths to a cache: asks what is missing, uploads it, and commits all paths at once.
 *
 *     plan ─┬─ present, elsewhere ──────────────────────────────────────┐
 *           ├─ small NARs: batches ─┐                                   │
 *           └─ large NARs: parts ───┴─ if any were lost: plan again ─ commit
 *
 * No state is kept between runs: the next plan contains what the cache has of an unfinished push.
 */
import type { Store } from '../store/store.ts'
import { type ClosureOptions, findClosure } from './closure.ts'
import type { FarEnd } from './far-end.ts'
import type { PushedObject } from './object-parts.ts'
import { type PushInfo, protocolVersion } from './protocol.ts'
import { PushFault } from './push-fault.ts'
import { type PushResult, PushRun, type PushRunOptions } from './push-run.ts'

export type { PushResult }

export interface PushOptions extends PushRunOptions, ClosureOptions {
  readonly store: Store
}

/**
 * Rejects with a PushFault, or with a Fault if a store path cannot be read. Paths that the cache refused are in the result.
 */
export async function pushPaths(storePaths: readonly string[], options: PushOptions): Promise<PushResult> {
  const { store, farEnd } = options
  const [info, objects] = await bothOf(readInfo(farEnd, store.storeDir), findClosure(store, storePaths, options))
  await using held = await holdAll(store, objects)
  void held
  const run = new PushRun(info, options)
  for (let at = 0; at < objects.length; at += info.planPaths)
    await run.push(objects.slice(at, at + info.planPaths), at + info.planPaths >= objects.length)
  return run.result
}

/** Waits for both even if one fails, because the other may use resources that the caller releases. */
async function bothOf<First, Second>(first: Promise<First>, second: Promise<Second>): Promise<[First, Second]> {
  await Promise.allSettled([first, second])
  return [await first, await second]
}

async function readInfo(farEnd: FarEnd, storeDir: string): Promise<PushInfo> {
  const info = await farEnd.ask<PushInfo>('GET', 'v1/push')
  if (info.protocol !== protocolVersion) {
    throw new PushFault(
      'protocol',
      `${farEnd.url} uses push protocol ${info.protocol}, but this program uses ${protocolVersion}: get the matching client from ${farEnd.url}/v1/client.mjs`,
    )
  }
  if (info.storeDir !== storeDir)
    throw new PushFault('refused', `${farEnd.url} is a cache for "${info.storeDir}", but this store is "${storeDir}"`)
  return info
}

/** Protects the objects from garbage collection. If one is gone already, reading it will fail. */
async function holdAll(store: Store, objects: readonly PushedObject[]): Promise<AsyncDisposable> {
  const releases = await Promise.all(objects.map(({ info }) => store.leases.hold(info.storePath)))
  return {
    async [Symbol.asyncDispose]() {
      for (const release of releases) release()
    },
  }
}
