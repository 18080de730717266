/**
 * The loop of `burrow watch-store`: checks for new paths every second, and pushes them when no path was added for 2 s,
 * or after 10 s. Paths that cannot be pushed now stay in the queue. Paths that can never be pushed are dropped with a
 * message. The loop runs until it is stopped.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { Fault, type PushFault } from '../../../src/index.ts'
import { Complaint } from '../../complaint.ts'
import { formatBytes, formatCount, printable } from '../../terminal/format.ts'
import type { PathSource } from './path-source.ts'
import type { QueuedResult } from './push-queued.ts'
import type { QueueFile, QueueState } from './queue-file.ts'

export interface StoreWatchOptions {
  readonly queueFile: QueueFile
  readonly source: PathSource
  /**
   * Rejects with a Complaint if the URL or the login is missing, and with the signal's reason. `isFailing` is called
   * when the cache does not answer and the request is retried.
   */
  readonly push: (
    paths: readonly string[],
    signal: AbortSignal,
    isFailing: (reason: string) => void,
  ) => Promise<QueuedResult>
  /** What is watched, for messages. */
  readonly title: string
  readonly url: string
  readonly tell: (line: string) => void
  readonly warn: (line: string) => void
  /** Stop gracefully: the queue is pushed until the drain ends. */
  readonly stop: AbortSignal
  /** Stop immediately. */
  readonly kill: AbortSignal
}

const tickMs = 1000
const quietMs = 2000
const longestWaitMs = 10_000
const heartbeatMs = 3_600_000
const drainMs = 30_000
const batchPaths = 500
const firstPauseMs = 5000
const longestPauseMs = 300_000

export class StoreWatch {
  readonly #options: StoreWatchOptions
  readonly #state: QueueState
  readonly #aborting = new AbortController()
  #changedAtMs = 0
  #waitingSinceMs: number | undefined
  #pauseMs = 0
  #notBeforeMs = 0
  #running: Promise<void> | undefined
  #isFailing = false
  #problem: string | undefined
  #pushed = 0
  #heartbeatAtMs = performance.now()

  constructor(options: StoreWatchOptions) {
    this.#options = options
    this.#state = options.queueFile.state ?? { queue: [] }
    // The queue of an earlier run is pushed without delay.
    if (this.#state.queue.length > 0) this.#waitingSinceMs = Number.NEGATIVE_INFINITY
  }

  async run(): Promise<void> {
    const { stop, kill, tell, title, url } = this.#options
    await this.#look()
    tell(`Watching ${title} for ${url}: ${formatCount(this.#state.queue.length, 'path')} waiting`)
    while (!stop.aborted) {
      this.#pushIfDue()
      await sleep(tickMs, undefined, { signal: stop }).catch(() => {})
      await this.#look()
      if (performance.now() - this.#heartbeatAtMs >= heartbeatMs) this.#beat()
    }
    await this.#drain(kill)
    tell(
      `Stopped: ${formatCount(this.#pushed, 'path')} pushed, ${formatCount(this.#state.queue.length, 'path')} kept for the next start`,
    )
  }

  async #look(): Promise<void> {
    const { source, queueFile, warn, tell } = this.#options
    try {
      const before = this.#state.queue.length
      const settle = await source.read(this.#state)
      if (settle !== undefined) {
        await queueFile.write(this.#state)
        await settle()
      }
      if (this.#state.queue.length > before) {
        this.#changedAtMs = performance.now()
        this.#waitingSinceMs ??= this.#changedAtMs
      }
      if (this.#problem !== undefined) tell('The paths can be read again')
      this.#problem = undefined
    } catch (error) {
      if (
        !(error instanceof Fault) &&
        !(error instanceof Complaint) &&
        (error as NodeJS.ErrnoException).code === undefined
      )
        throw error
      const { message } = error as Error
      if (message !== this.#problem) warn(`Cannot read new paths, retrying: ${printable(message)}`)
      this.#problem = message
    }
  }

  #pushIfDue(): void {
    const now = performance.now()
    if (this.#running !== undefined || this.#state.queue.length === 0 || now < this.#notBeforeMs) return
    const isQuiet = now - this.#changedAtMs >= quietMs || now - (this.#waitingSinceMs ?? now) >= longestWaitMs
    if (!isQuiet) return
    this.#running = this.#pushSome().finally(() => {
      this.#running = undefined
    })
    // The drain awaits it; a bug must not go unnoticed.
    this.#running.catch((error: unknown) => {
      if (!this.#aborting.signal.aborted) this.#failed(`Unexpected error: ${(error as Error).stack ?? String(error)}`)
    })
  }

  async #pushSome(): Promise<void> {
    const { push, queueFile, tell, warn, url } = this.#options
    const paths = this.#state.queue.slice(0, batchPaths)
    let result: QueuedResult
    try {
      result = await push(paths, this.#aborting.signal, (reason) => {
        if (!this.#isFailing) warn(`No answer from ${url} (${printable(reason)}): retrying`)
        this.#isFailing = true
      })
    } catch (error) {
      if (!(error instanceof Complaint)) throw error
      return this.#failed(printable(error.message))
    }
    for (const { path, outcome, reason } of result.verdicts) {
      if (outcome === 'dropped') warn(`Dropped ${path}: ${reason}`)
      else if (reason !== undefined) warn(`${path}: ${reason}`)
    }
    const settled = new Set(result.verdicts.map(({ path }) => path))
    this.#state.queue = this.#state.queue.filter((path) => !settled.has(path))
    this.#pushed += result.pushed
    await queueFile.write(this.#state)
    if (result.pushed > 0) {
      tell(
        `Pushed ${formatCount(result.pushed, 'path')} (${formatBytes(result.wireBytes)}) to ${url}: ${formatCount(this.#state.queue.length)} waiting`,
      )
    }
    if (result.obstacle !== undefined) return this.#failed(obstacleText(result.obstacle))
    this.#isFailing = false
    this.#pauseMs = 0
    this.#waitingSinceMs = this.#state.queue.length > 0 ? Number.NEGATIVE_INFINITY : undefined
  }

  #failed(why: string): void {
    this.#isFailing = true
    this.#pauseMs = Math.min(longestPauseMs, Math.max(firstPauseMs, this.#pauseMs * 2))
    this.#notBeforeMs = performance.now() + this.#pauseMs
    this.#options.warn(
      `${why}. ${formatCount(this.#state.queue.length, 'path')} waiting; retrying in ${Math.round(this.#pauseMs / 1000)} s`,
    )
  }

  #beat(): void {
    this.#heartbeatAtMs = performance.now()
    const { tell, title } = this.#options
    tell(
      `Watching ${title}: ${formatCount(this.#state.queue.length, 'path')} waiting, ${formatCount(this.#pushed)} pushed since the start`,
    )
  }

  /** Does not wait for a cache that does not answer. */
  async #drain(kill: AbortSignal): Promise<void> {
    const abort = () => this.#aborting.abort(new Error('stopped'))
    if (kill.aborted || this.#isFailing) abort()
    kill.addEventListener('abort', abort)
    const timer = setTimeout(abort, drainMs)
    try {
      await this.#running
      while (this.#state.queue.length > 0 && !this.#isFailing && !this.#aborting.signal.aborted) await this.#pushSome()
    } catch (error) {
      if (!this.#aborting.signal.aborted) throw error
    } finally {
      clearTimeout(timer)
      kill.removeEventListener('abort', abort)
    }
  }
}

function obstacleText(obstacle: PushFault | Fault): string {
  return printable(obstacle.message)
}
