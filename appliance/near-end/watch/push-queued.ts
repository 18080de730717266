/**
 * Pushes a batch of the queue together. If that fails because of a path, each path is pushed separately, so that one
 * bad path does not block the others.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { type FarEnd, Fault, type LocalStore, PushFault, pushPaths } from '../../../src/index.ts'
import { printable } from '../../terminal/format.ts'

export interface QueuedPush {
  readonly store: LocalStore
  readonly farEnd: FarEnd
  readonly jobs: number
  readonly signal: AbortSignal
}

export interface Verdict {
  readonly path: string
  /** `done`: the cache has it, maybe with different contents. `dropped`: it cannot be pushed and is not retried. */
  readonly outcome: 'done' | 'dropped'
  /** For dropped paths and conflicts. */
  readonly reason?: string
  /** Why it was dropped: it is missing or damaged in the store, or the cache refuses it. */
  readonly cause?: 'gone' | 'unreadable' | 'refused'
}

export interface QueuedResult {
  readonly verdicts: readonly Verdict[]
  readonly pushed: number
  readonly wireBytes: number
  /** The error that stopped the batch; the other paths stay in the queue. */
  readonly obstacle: PushFault | Fault | undefined
}

export async function pushQueued(paths: readonly string[], options: QueuedPush): Promise<QueuedResult> {
  const { store, farEnd, signal } = options
  const run = new Run(options)
  try {
    // Checks whether this user may push at all; "forbidden" from then on concerns a path.
    await farEnd.ask('GET', 'v1/push')
    const valid = paths.filter((path) => {
      const isValid =
        store.find(path.slice(store.storeDir.length + 1, store.storeDir.length + 33))?.info.storePath === path
      if (!isValid)
        run.verdicts.push({ path, outcome: 'dropped', cause: 'gone', reason: 'it is not in the store any more' })
      return isValid
    })
    if (valid.length > 0 && !(await run.pushTogether(valid))) for (const path of valid) await run.pushAlone(path)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof PushFault) && !(error instanceof Fault)) throw error
    return { ...run.result, obstacle: error }
  }
  return { ...run.result, obstacle: undefined }
}

class Run {
  readonly verdicts: Verdict[] = []
  readonly #options: QueuedPush
  #pushed = 0
  #wireBytes = 0

  constructor(options: QueuedPush) {
    this.#options = options
  }

  get result() {
    return { verdicts: this.verdicts, pushed: this.#pushed, wireBytes: this.#wireBytes }
  }

  /** `false` if one of the paths cannot be pushed. */
  async pushTogether(paths: readonly string[]): Promise<boolean> {
    try {
      await this.#push(paths)
      return true
    } catch (error) {
      if (this.#causeOf(error) !== undefined) return false
      throw error
    }
  }

  async pushAlone(path: string): Promise<void> {
    try {
      await this.#push([path])
    } catch (error) {
      const cause = this.#causeOf(error)
      if (cause === undefined) throw error
      this.verdicts.push({ path, outcome: 'dropped', cause, reason: printable((error as Error).message) })
    }
  }

  async #push(paths: readonly string[]): Promise<void> {
    const result = await pushPaths(paths, {
      ...this.#options,
      level: 3,
      withReferences: true,
      isExcluded: (path) => path.endsWith('.drv'),
      includeUpstream: false,
      isDryRun: false,
      sleep: (ms) => sleep(ms, undefined, { signal: this.#options.signal }),
      report: () => {},
    })
    this.#wireBytes += result.wireBytes
    for (const { status } of result.paths.values()) if (status === 'pushed') this.#pushed++
    for (const path of paths) {
      const { status, reason } = result.paths.get(path) ?? { status: 'present' }
      if (status === 'refused')
        this.verdicts.push({
          path,
          outcome: 'dropped',
          cause: 'refused',
          reason: printable(reason ?? 'the cache refuses it'),
        })
      else
        this.verdicts.push({
          path,
          outcome: 'done',
          ...(status === 'conflict' && { reason: `the cache has different contents: ${printable(reason ?? '')}` }),
        })
    }
  }

  /** The problem of a path; `undefined` if the error concerns the cache, the connection or the store. */
  #causeOf(error: unknown): Verdict['cause'] {
    this.#options.signal.throwIfAborted()
    if (error instanceof Fault) return error.code === 'store-unavailable' ? undefined : 'unreadable'
    if (!(error instanceof PushFault)) return undefined
    if (error.code === 'unreadable') return 'unreadable'
    // 507: the cache is full, which is temporary.
    if (error.code === 'forbidden' || (error.code === 'refused' && error.status !== undefined && error.status !== 507))
      return 'refused'
    return undefined
  }
}
