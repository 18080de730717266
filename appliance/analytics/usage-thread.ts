/**
 * The answering thread's side of the thread that has the usage file. It starts with the first order, and again after it
 * failed. Trouble with the file is logged once, and once more when it is over; it never reaches the caller.
 */
import { Worker } from 'node:worker_threads'

import type { Log } from '../../src/index.ts'
import type { UsageAnswer, UsageAnswers, UsageOrder, UsageThreadData } from './messages.ts'

/** Works both from source and from `dist`. */
const workerUrl = new URL(import.meta.url.endsWith('.ts') ? './usage-worker.ts' : './usage-worker.js', import.meta.url)
/** Questions that wait for their answer; more are refused, so that readers of pages do not hold up what is stored. */
const maxWaiting = 16

export class UsageThread {
  readonly #data: UsageThreadData
  readonly #log: Log
  #worker: Worker | undefined
  readonly #waiting: ((answer: UsageAnswer | undefined) => void)[] = []
  #isTroubled = false

  constructor(data: UsageThreadData, log: Log) {
    this.#data = data
    this.#log = log
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Undefined if it could not be answered, which was logged. Never rejects. */
  ask<Kind extends UsageOrder['kind']>(
    order: Extract<UsageOrder, { readonly kind: Kind }>,
  ): Promise<UsageAnswers[Kind] | undefined> {
    const isQuestion = order.kind !== 'add' && order.kind !== 'close'
    if (isQuestion && this.#waiting.length >= maxWaiting) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const worker = this.#running()
      worker.ref()
      this.#waiting.push((answer) => {
        this.#report(answer)
        resolve(answer?.value as UsageAnswers[Kind] | undefined)
      })
      worker.postMessage(order)
    })
  }

  /** After all orders so far were answered. */
  async close(): Promise<void> {
    if (this.#worker === undefined) return
    const worker = this.#worker
    const exited = new Promise((resolve) => worker.once('exit', resolve))
    await this.ask({ kind: 'close' })
    worker.ref()
    await exited
  }

  #running(): Worker {
    if (this.#worker !== undefined) return this.#worker
    // The thread gets no environment variables: it needs none, and they may contain secrets.
    const worker = new Worker(workerUrl, { env: {}, name: 'usage', workerData: this.#data })
    worker.on('message', (answer: UsageAnswer) => {
      this.#waiting.shift()?.(answer)
      // Nobody waits: the thread does not keep the program alive.
      if (this.#waiting.length === 0) worker.unref()
    })
    worker.on('error', (error) => {
      if (!this.#isTroubled) this.#log.error({ err: error }, 'The thread that stores usage figures failed')
      this.#isTroubled = true
    })
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined
      for (const settle of this.#waiting.splice(0)) settle(undefined)
    })
    this.#worker = worker
    return worker
  }

  #report(answer: UsageAnswer | undefined): void {
    if (answer === undefined) return
    const { problem, movedAside } = answer
    const { file } = this.#data
    if (movedAside !== undefined)
      this.#log.warn(
        { file, movedAside },
        'The file of usage figures was damaged: it was moved aside, and a new one begun',
      )
    if (problem !== undefined && !this.#isTroubled)
      this.#log.warn(
        { file, reason: problem },
        'Cannot use the file of usage figures: requests are served, but not counted',
      )
    if (problem === undefined && this.#isTroubled) this.#log.info({ file }, 'Usage figures are stored again')
    this.#isTroubled = problem !== undefined
  }
}
