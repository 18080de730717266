/**
 * Pushes store paths to a cache: asks what is missing, uploads it, and commits all paths at once.
 *
 *     plan ─┬─ present, elsewhere ──────────────────────────────────────┐
 *           ├─ small NARs: batches ─┐                                   │
 *           └─ large NARs: parts ───┴─ if any were lost: plan again ─ commit
 *
 * No state is kept between runs: the next plan contains what the cache has of an unfinished push.
 */
import { parseRanges } from '../nar/part-ranges.ts'
import type { Store } from '../store/store.ts'
import { findClosure } from './closure.ts'
import type { FarEnd } from './far-end.ts'
import type { PushedObject } from './object-parts.ts'
import {
  type CommitReply,
  type CommitRequest,
  type CommittedPath,
  type PlannedPath,
  type PlanReply,
  type PlanRequest,
  type PushedPath,
  type PushInfo,
  protocolVersion,
} from './protocol.ts'
import type { PathStatus, PushEvent } from './push-event.ts'
import { PushFault } from './push-fault.ts'
import { Uploads } from './uploads.ts'

export interface PushOptions {
  readonly store: Store
  readonly farEnd: FarEnd
  /** Number of concurrent uploads. */
  readonly jobs: number
  /** zstd level, 1 to 19. Raised while the network is slower than the compression. */
  readonly level: number
  readonly withReferences: boolean
  readonly isExcluded: (storePath: string) => boolean
  readonly includeUpstream: boolean
  /** Only plan, without sending anything. */
  readonly isDryRun: boolean
  readonly pin?: { readonly name: string; readonly keepLast?: number } | undefined
  readonly sleep: (ms: number) => Promise<void>
  readonly report: (event: PushEvent) => void
}

export interface PushResult {
  readonly paths: ReadonlyMap<string, { readonly status: PathStatus; readonly reason?: string }>
  readonly narBytes: number
  readonly wireBytes: number
}

const pollMs = 1000
/** Attempts when the cache loses parts after it has accepted them, for example because it ran out of space. */
const maxRounds = 5

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

class PushRun {
  readonly #options: PushOptions
  readonly #uploads: Uploads
  readonly #paths = new Map<string, { readonly status: PathStatus; readonly reason?: string }>()

  constructor(info: PushInfo, options: PushOptions) {
    this.#options = options
    this.#uploads = new Uploads({ ...options, info })
  }

  get result(): PushResult {
    const { narBytes, wireBytes } = this.#uploads
    return { paths: this.#paths, narBytes, wireBytes }
  }

  /** Pushes one slice. All references are in this slice or in an earlier one. */
  async push(objects: readonly PushedObject[], isLast: boolean): Promise<void> {
    const byPath = new Map(objects.map((object) => [object.info.storePath, object]))
    for (let round = 0, isFirst = true; round < maxRounds; isFirst = false) {
      const plan = await this.#plan(objects, isFirst)
      if (this.#options.isDryRun) return this.#reportDryRun(plan)
      // Parts of another size are different parts, so a new plan is needed.
      if ((await this.#uploads.send(this.#findMissing(plan, byPath))) === 'resized') continue
      round++
      const lost = await this.#commit(
        objects.filter(({ info }) => !isSettled(plan, info.storePath)),
        isLast,
      )
      if (lost === 0) return
    }
    throw new PushFault(
      'refused',
      `${this.#options.farEnd.url} lost parts ${maxRounds} times after accepting them: check free space and unfinished uploads with "burrow status" on its machine`,
    )
  }

  async #plan(objects: readonly PushedObject[], isFirst: boolean): Promise<Map<string, PlannedPath>> {
    const { farEnd, includeUpstream, report } = this.#options
    const request: PlanRequest = {
      partBytes: this.#uploads.partBytes,
      paths: objects.map(toPushedPath),
      ...(includeUpstream && { includeUpstream }),
    }
    const reply = await farEnd.ask<PlanReply>('POST', 'v1/push/plan', request)
    const plan = new Map(reply.paths.map((path) => [path.storePath, path]))
    const missing = objects.filter(({ info }) => plan.get(info.storePath)?.status === 'upload')
    const missingBytes = missing.reduce((sum, { info }) => sum + info.narSize, 0)
    if (isFirst)
      report({
        event: 'plan',
        paths: objects.length,
        missingPaths: missing.length,
        missingBytes,
        freeBytes: reply.room.free,
      })
    for (const path of reply.paths) {
      if (path.status === 'present' || path.status === 'elsewhere') this.#settle(path.storePath, path.status)
      else if (path.status === 'conflict' || path.status === 'refused')
        this.#settle(path.storePath, path.status, path.reason)
    }
    return plan
  }

  #findMissing(
    plan: ReadonlyMap<string, PlannedPath>,
    byPath: ReadonlyMap<string, PushedObject>,
  ): { object: PushedObject; have: ReadonlySet<number> }[] {
    return [...plan.values()].flatMap((path) => {
      const object = byPath.get(path.storePath)
      if (object === undefined || path.status !== 'upload') return []
      return [{ object, have: parseRanges(path.parts.have, path.parts.count) ?? new Set<number>() }]
    })
  }

  #reportDryRun(plan: ReadonlyMap<string, PlannedPath>): void {
    for (const { storePath, status } of plan.values())
      if (status === 'upload' || status === 'have-nar') this.#settle(storePath, 'would-push')
  }

  /** Returns the number of paths with missing parts. The whole slice is one transaction. */
  async #commit(objects: readonly PushedObject[], isLast: boolean): Promise<number> {
    const { farEnd, pin, includeUpstream, sleep } = this.#options
    const paths = objects.map(toPushedPath)
    if (paths.length === 0 && (!isLast || pin === undefined)) return 0
    for (;;) {
      const request: CommitRequest = {
        paths,
        atomic: true,
        ...(isLast && pin && { pin }),
        ...(includeUpstream && { includeUpstream }),
      }
      const reply = await farEnd.ask<CommitReply>('POST', 'v1/push/commit', request)
      const lost = reply.paths.filter(({ status }) => status === 'incomplete').length
      if (lost > 0) return lost
      if (!reply.paths.some(({ status }) => status === 'pending')) {
        for (const path of reply.paths) this.#settleCommitted(path)
        return 0
      }
      await sleep(pollMs)
    }
  }

  #settleCommitted(path: CommittedPath): void {
    if (path.status === 'registered') this.#settle(path.storePath, 'pushed')
    else if (path.status === 'present' || path.status === 'elsewhere') this.#settle(path.storePath, path.status)
    else if (path.status === 'conflict' || path.status === 'refused')
      this.#settle(path.storePath, path.status, path.reason)
  }

  #settle(storePath: string, status: PathStatus, reason?: string): void {
    if (this.#paths.has(storePath)) return
    this.#paths.set(storePath, { status, ...(reason !== undefined && { reason }) })
    this.#options.report({ event: 'path', storePath, status, ...(reason !== undefined && { reason }) })
  }
}

/** True if the path is not part of the commit. */
function isSettled(plan: ReadonlyMap<string, PlannedPath>, storePath: string): boolean {
  const status = plan.get(storePath)?.status
  return status === 'present' || status === 'conflict' || status === 'refused'
}

function toPushedPath({ info }: PushedObject): PushedPath {
  const { storePath, narHash, narSize, references, deriver, signatures, contentAddress } = info
  return {
    storePath,
    narHash,
    narSize,
    references,
    signatures,
    ...(deriver !== undefined && { deriver }),
    ...(contentAddress !== undefined && { ca: contentAddress }),
  }
}
