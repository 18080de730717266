/** One push: plans, uploads and commits, slice by slice, and records what became of each path. */
import { parseRanges } from '../nar/part-ranges.ts'
import type { FarEnd } from './far-end.ts'
import type { PushedObject } from './object-parts.ts'
import type {
  CommitReply,
  CommitRequest,
  CommittedPath,
  PlannedPath,
  PlanReply,
  PlanRequest,
  PushedPath,
  PushInfo,
} from './protocol.ts'
import type { PathStatus, PushEvent } from './push-event.ts'
import { PushFault } from './push-fault.ts'
import { Uploads } from './uploads.ts'

export interface PushRunOptions {
  readonly farEnd: FarEnd
  /** Number of concurrent uploads. */
  readonly jobs: number
  /** zstd level, 1 to 19. Raised while the network is slower than the compression. */
  readonly level: number
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

export class PushRun {
  readonly #options: PushRunOptions
  readonly #uploads: Uploads
  readonly #paths = new Map<string, { readonly status: PathStatus; readonly reason?: string }>()

  constructor(info: PushInfo, options: PushRunOptions) {
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

  /**
   * Only what was absent when it was planned is committed. If it is present now, the answer to an earlier attempt of this
   * commit was lost with its connection, or another push sent the same path at the same time.
   */
  #settleCommitted(path: CommittedPath): void {
    if (path.status === 'registered' || path.status === 'present') this.#settle(path.storePath, 'pushed')
    else if (path.status === 'elsewhere') this.#settle(path.storePath, path.status)
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
