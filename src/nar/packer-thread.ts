/**
 * Main-thread side of the packer thread: starts it and passes requests and events. If it exits unexpectedly, its jobs
 * fail, and the next request starts a new thread. Requests are sent in batches, like events.
 */
import { Worker } from 'node:worker_threads'
import { Fault } from '../faults.ts'
import type { Log } from '../log.ts'
import { Deliveries } from './deliveries.ts'
import type { JobRequest, PackerEvent, PackerRequest, PackerThreadData } from './packer-messages.ts'

/** Pages are touched only when readers need them: about 40 MiB for 200 readers. */
const memoryBytes = 96 * 1024 * 1024

/** The consumer of a job's results. */
export interface Task {
  receive(event: PackerEvent, run: ThreadRun): void
  /** No more events will follow. */
  fail(fault: Error): void
}

/** Works both from source and from `dist`. */
const workerUrl = new URL(
  import.meta.url.endsWith('.ts') ? './packer-worker.ts' : './packer-worker.js',
  import.meta.url,
)

export class PackerThread {
  /** Delivers chunks, with a limit per event loop iteration. */
  readonly deliveries = new Deliveries()
  readonly #log: Log
  readonly #compressors: number
  #run: ThreadRun | undefined
  #jobs = 0
  #isClosed = false

  constructor(log: Log, compressors: number) {
    this.#log = log
    this.#compressors = compressors
    this.#running()
  }

  /** Returns a handle that cancels the job, or undefined if it failed immediately. */
  begin(task: Task, toRequest: (job: number) => JobRequest): JobHandle | undefined {
    if (this.#isClosed) {
      task.fail(closed())
      return undefined
    }
    return this.#running().begin(task, toRequest(++this.#jobs))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#run?.close(closed())
  }

  #running(): ThreadRun {
    if (this.#run && !this.#run.isOver) return this.#run
    this.#run = new ThreadRun(this.#log, this.#compressors)
    return this.#run
  }
}

export interface JobHandle {
  /** Cancels the job. `isSilent`: its events are no longer delivered. */
  drop(isSilent: boolean): void
}

/** One run of the packer thread. */
export class ThreadRun {
  readonly #log: Log
  readonly #memory = new SharedArrayBuffer(memoryBytes)
  readonly #worker: Worker
  readonly #tasks = new Map<number, Task>()
  readonly #exit: Promise<void>
  #requests: PackerRequest[] = []
  #freed: number[] = []
  #isClosing = false
  isOver = false

  constructor(log: Log, compressors: number) {
    this.#log = log
    const workerData: PackerThreadData = { memory: this.#memory, compressors }
    // The thread gets no environment variables: it needs none, and they may contain secrets.
    this.#worker = new Worker(workerUrl, { workerData, env: {}, name: 'nar packer' })
    this.#worker.on('message', (events: readonly PackerEvent[]) => this.#receive(events))
    this.#worker.on('error', (error) => this.#end(error))
    this.#exit = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#end(new Error(`exit code ${code}`))
        resolve()
      })
    })
    this.#worker.unref()
  }

  begin(task: Task, request: JobRequest): JobHandle {
    if (this.#tasks.size === 0) this.#worker.ref()
    this.#tasks.set(request.job, task)
    this.#post(request)
    return {
      drop: (isSilent) => {
        if (!this.#tasks.has(request.job)) return
        this.#post({ kind: 'drop', job: request.job })
        if (isSilent) this.#forget(request.job)
      },
    }
  }

  /** Returns the bytes of a chunk. */
  bytesOf(event: PackerEvent & { readonly kind: 'chunk' }): Uint8Array {
    if (event.bytes) return Buffer.from(event.bytes.buffer as ArrayBuffer, event.bytes.byteOffset, event.length)
    return Buffer.from(this.#memory, event.at, event.length)
  }

  free(at: number): void {
    if (this.#freed.length === 0 && this.#requests.length === 0) queueMicrotask(() => this.#flush())
    this.#freed.push(at)
  }

  async close(fault: Fault): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true
      const tasks = this.#takeTasks()
      this.#worker.ref()
      this.#post({ kind: 'close' })
      for (const task of tasks) task.fail(fault)
    }
    await this.#exit
  }

  #post(request: PackerRequest): void {
    if (this.#freed.length === 0 && this.#requests.length === 0) queueMicrotask(() => this.#flush())
    this.#requests.push(request)
  }

  #flush(): void {
    const requests = this.#requests
    if (this.#freed.length > 0) requests.push({ kind: 'free', slots: this.#freed })
    this.#requests = []
    this.#freed = []
    if (!this.isOver) this.#worker.postMessage(requests)
  }

  #receive(events: readonly PackerEvent[]): void {
    for (const event of events) {
      const task = this.#tasks.get(event.job)
      const isLast = event.kind === 'chunk' ? event.isLast : event.kind !== 'progress'
      if (isLast) this.#forget(event.job)
      if (task) task.receive(event, this)
      else if (event.kind === 'chunk') this.free(event.at)
    }
  }

  #forget(job: number): void {
    if (this.#tasks.delete(job) && this.#tasks.size === 0 && !this.#isClosing) this.#worker.unref()
  }

  #takeTasks(): Task[] {
    const tasks = [...this.#tasks.values()]
    this.#tasks.clear()
    return tasks
  }

  #end(error: Error): void {
    if (this.isOver) return
    this.isOver = true
    if (this.#isClosing) return
    const tasks = this.#takeTasks()
    this.#log.error(
      { err: error, jobs: tasks.length },
      'The packing thread exited unexpectedly; the next request starts a new one',
    )
    const fault = new Fault('busy', 'Cannot pack: the packing thread exited unexpectedly; try again', { cause: error })
    for (const task of tasks) task.fail(fault)
  }
}

/** Converts an event of kind `fault` to an error. */
export function faultOfEvent({ code, message }: PackerEvent & { readonly kind: 'fault' }): Error {
  return code === undefined ? new Error(`The packing thread failed: ${message}`) : new Fault(code, message)
}

function closed(): Fault {
  return new Fault('abandoned', 'Cannot pack: the packer is closed')
}
