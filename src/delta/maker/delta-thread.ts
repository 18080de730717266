/** The main thread's side of the delta thread. It runs only while there is work, and for a little while after. */
import { createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Worker } from 'node:worker_threads'

import { copyChunks } from '../../chunk-readers.ts'
import { Fault } from '../../faults.ts'
import type { Log } from '../../log.ts'
import type { CompressedNar } from '../../nar/contract.ts'
import { verifiedReader } from '../../nar/verify.ts'
import type { DeltaEnd, DeltaMaker, DeltaOrder } from './contract.ts'
import type { ThreadAnswer, ThreadEnd, ThreadOrder } from './messages.ts'

/** Works both from source and from `dist`. */
const workerUrl = new URL(import.meta.url.endsWith('.ts') ? './delta-worker.ts' : './delta-worker.js', import.meta.url)
const idleMs = 30_000

/** Starts no thread yet. */
export function openDeltaMaker(options: { readonly log: Log }): DeltaMaker {
  return new DeltaThread(options.log)
}

class DeltaThread implements DeltaMaker {
  readonly #log: Log
  #worker: Worker | undefined
  #last: Promise<unknown> = Promise.resolve()
  #idle: NodeJS.Timeout | undefined
  #failRunning: ((fault: Fault) => void) | undefined
  #isClosed = false

  constructor(log: Log) {
    this.#log = log
  }

  make(order: DeltaOrder): Promise<CompressedNar | undefined> {
    const made = this.#last.then(() => this.#make(order))
    this.#last = made.catch(() => {})
    return made
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#idle)
    this.#failRunning?.(abandoned())
    await this.#worker?.terminate()
    await this.#last
  }

  async #make(order: DeltaOrder): Promise<CompressedNar | undefined> {
    if (this.#isClosed) throw abandoned()
    const { base, target, scratchDir, tempPath, maxBytes } = order
    try {
      const ends = {
        base: await prepare(base, join(scratchDir, 'base'), scratchDir),
        target: await prepare(target, join(scratchDir, 'target'), scratchDir),
      }
      const answer = await this.#ask({ ...ends, tempPath, maxBytes })
      if (answer.kind === 'made') return { fileHash: answer.fileHash, fileSize: answer.fileSize }
      await rm(tempPath, { force: true })
      if (answer.kind === 'too-large') return undefined
      throw answer.code === undefined ? new Error(answer.message) : new Fault(answer.code, answer.message)
    } catch (error) {
      await rm(tempPath, { force: true })
      throw error
    } finally {
      await rm(scratchDir, { recursive: true, force: true })
    }
  }

  #ask(order: ThreadOrder): Promise<ThreadAnswer> {
    if (this.#isClosed) return Promise.reject(abandoned())
    clearTimeout(this.#idle)
    const worker = this.#running()
    const { promise, resolve, reject } = Promise.withResolvers<ThreadAnswer>()
    this.#failRunning = reject
    worker.once('message', resolve)
    worker.ref()
    worker.postMessage(order)
    return promise.finally(() => {
      this.#failRunning = undefined
      worker.off('message', resolve)
      worker.unref()
      this.#idle = setTimeout(() => this.#end(), idleMs).unref()
    })
  }

  #running(): Worker {
    if (this.#worker !== undefined) return this.#worker
    // The thread gets no environment variables: it needs none, and they may contain secrets.
    const worker = new Worker(workerUrl, { env: {}, name: 'delta maker' })
    worker.on('error', (error) => {
      this.#log.error({ err: error }, 'The delta thread failed')
      this.#failRunning?.(abandoned())
    })
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined
      this.#failRunning?.(abandoned())
    })
    this.#worker = worker
    return worker
  }

  #end(): void {
    void this.#worker?.terminate()
    this.#worker = undefined
  }
}

const abandoned = () => new Fault('abandoned', 'A delta is not made: the program ends')

/** A NAR goes to a file first: it is verified on the way, and the thread unpacks it. */
async function prepare(end: DeltaEnd, realPath: string, scratchDir: string): Promise<ThreadEnd> {
  const { narHash } = end
  if (end.kind === 'tree') return { narHash, realPath: end.realPath }
  await mkdir(scratchDir, { recursive: true, mode: 0o700 })
  const narFile = `${realPath}.nar`
  const reader = verifiedReader(await end.open(), end)
  try {
    await pipeline(Readable.from(copyChunks(reader)), createWriteStream(narFile, { flags: 'wx', mode: 0o600 }))
  } finally {
    reader.close()
  }
  return { narHash, realPath, narFile }
}
