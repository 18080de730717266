/**
 * The answering thread's side of publication-worker.ts: the latest published paths, and what to do when the thread ends
 * unexpectedly: it is started again, and until its first result the last one counts. If the paths cannot be determined
 * for some time, none are published.
 */
import { Worker } from 'node:worker_threads'

import type { Clock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { Explanation } from './explain.ts'
import type { PublishedHealth, PublishPolicy, StorePlace } from './policy.ts'
import type { PublishedPaths } from './publication.ts'
import type { ThreadData, ThreadMessage, ThreadRequest } from './thread-messages.ts'

export interface PublicationThreadOptions {
  readonly policy: PublishPolicy
  readonly place: StorePlace
  readonly log: Log
  readonly clock: Clock
  /** Called for each result that differs from the last one, and (undefined) when `current` becomes undefined. */
  readonly onChange: (paths: PublishedPaths | undefined) => void
  readonly startThread?: (data: ThreadData) => Worker
}

/** Without a result for so long after a failure nothing is published. */
const patienceMs = 10_000
/** Between the end of a thread and the next one; the last for all further ones. */
const restartMs = [100, 1_000, 5_000, 30_000] as const
/** A thread that has run for so long is counted as the first again. */
const steadyMs = 60_000

export class PublicationThread implements AsyncDisposable {
  readonly #options: PublicationThreadOptions
  readonly #waiting = new Map<number, (explanation: Explanation | undefined) => void>()
  #worker: Worker | undefined
  #paths: PublishedPaths | undefined
  #health: PublishedHealth = { state: 'starting', paths: 0, ofPaths: 0, rootProblems: [] }
  #problem: string | undefined
  #lastRequest = 0
  #ends = 0
  #startedMs = 0
  #cancelRestart = () => {}
  #cancelPatience: (() => void) | undefined
  #isClosed = false

  constructor(options: PublicationThreadOptions) {
    this.#options = options
    this.#start()
  }

  /** Undefined: nothing is published. */
  get current(): PublishedPaths | undefined {
    return this.#health.state === 'current' ? this.#paths : undefined
  }

  get health(): PublishedHealth {
    return this.#health
  }

  /** Why there is no result, or no newer one. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Undefined if it cannot be said now. */
  explain(storePath: string): Promise<Explanation | undefined> {
    const worker = this.#worker
    if (worker === undefined) return Promise.resolve(undefined)
    const id = ++this.#lastRequest
    const { promise, resolve } = Promise.withResolvers<Explanation | undefined>()
    this.#waiting.set(id, resolve)
    worker.postMessage({ explain: storePath, id } satisfies ThreadRequest)
    return promise
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#cancelRestart()
    this.#cancelPatience?.()
    await this.#worker?.terminate()
  }

  #start(): void {
    const { policy, place, log, clock, startThread = startWorker } = this.#options
    const worker = startThread({ policy, place })
    this.#worker = worker
    this.#startedMs = clock.now()
    worker.unref()
    worker.on('message', (message: ThreadMessage) => this.#receive(message))
    worker.on('error', (error) => log.error({ err: error }, 'The thread that determines the published paths failed'))
    worker.once('exit', () => this.#restart())
  }

  #restart(): void {
    this.#worker = undefined
    for (const resolve of this.#waiting.values()) resolve(undefined)
    this.#waiting.clear()
    if (this.#isClosed) return
    const { clock } = this.#options
    if (clock.now() - this.#startedMs >= steadyMs) this.#ends = 0
    const delayMs = restartMs[Math.min(this.#ends++, restartMs.length - 1)]!
    this.#fail('the thread that determines them ended; it is started again')
    this.#cancelRestart = clock.after(delayMs, () => this.#start())
  }

  #receive(message: ThreadMessage): void {
    if (this.#isClosed) return
    if (message.kind === 'explained') {
      this.#waiting.get(message.id)?.(message.explanation)
      this.#waiting.delete(message.id)
    } else if (message.kind === 'failed') this.#fail(message.message)
    else this.#adopt(message)
  }

  #adopt({ paths, count, ofPaths, rootProblems }: ThreadMessage & { readonly kind: 'updated' }): void {
    const { log, onChange } = this.#options
    const before = this.#health
    this.#cancelPatience?.()
    this.#cancelPatience = undefined
    if (this.#problem !== undefined) log.info({}, 'The published paths are known again')
    this.#problem = undefined
    this.#paths = paths ?? this.#paths
    this.#health = { state: 'current', paths: count, ofPaths, rootProblems }
    if (before.state === 'starting') log.info({ paths: count, ofPaths }, 'The published paths are known')
    for (const { root, problem } of rootProblems)
      if (!before.rootProblems.some((known) => known.root === root && known.problem === problem))
        log.warn({ root, problem }, 'A root of the published paths cannot be used as it should')
    if (paths !== undefined || before.state !== 'current') onChange(this.#paths)
  }

  #fail(reason: string): void {
    if (this.#problem !== reason)
      this.#options.log.warn({ reason }, 'Cannot determine the published paths at the moment')
    this.#problem = reason
    this.#cancelPatience ??= this.#options.clock.after(patienceMs, () => {
      if (this.#health.state !== 'current') return
      this.#health = { ...this.#health, state: 'failed', paths: 0 }
      this.#options.log.error({ reason: this.#problem }, 'Cannot determine the published paths: none are served')
      this.#options.onChange(undefined)
    })
  }
}

/** Works both from source and from `dist`. */
const workerUrl = new URL(
  import.meta.url.endsWith('.ts') ? './publication-worker.ts' : './publication-worker.js',
  import.meta.url,
)

/** The thread gets no environment variables: it needs none, and they may contain secrets. */
function startWorker(workerData: ThreadData): Worker {
  return new Worker(workerUrl, { workerData, env: {}, name: 'published paths' })
}
