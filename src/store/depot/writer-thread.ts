/**
 * The answering thread's end of the writer's thread: starts it, passes calls, bodies and questions, and starts another
 * when it ended unexpectedly.
 */
import { Worker } from 'node:worker_threads'

import type { Log } from '../../log.ts'
import { BodySender } from './body-stream.ts'
import type { WriterHost } from './host.ts'
import type { RecoveryReport } from './recovery.ts'
import { refuse } from './types.ts'
import type { DepotWriter } from './writer.ts'
import type { FromWriter, ToWriter, WriterLink, WriterOp, WriterThreadData } from './writer-messages.ts'
import type { WriterOptions } from './writer-parts.ts'

/** Both run from source and from `dist`. */
const workerUrl = new URL(
  import.meta.url.endsWith('.ts') ? './writer-worker.ts' : './writer-worker.js',
  import.meta.url,
)

/** @throws {Error} when the depot cannot be opened */
export async function startWriterThread(
  options: WriterOptions,
  host: WriterHost,
  log: Log,
  url = workerUrl,
): Promise<WriterLink> {
  let run = new WriterRun(options, host, url)
  const recovered = await run.opened
  let isClosing = false
  return {
    recovered,
    call(op, argument, body) {
      if (run.isOver && !isClosing) {
        log.warn({}, 'restarting the depot writer thread')
        run = new WriterRun(options, host, url)
        run.opened.catch((error: unknown) => log.error({ err: error }, 'cannot reopen the depot: pushes are refused'))
      }
      return run.call(op, argument, body)
    },
    async close() {
      isClosing = true
      await run.close()
    },
  }
}

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** One life of the thread. */
class WriterRun {
  readonly opened: Promise<RecoveryReport>
  isOver = false
  readonly #host: WriterHost
  readonly #worker: Worker
  readonly #exited: Promise<void>
  readonly #pending = new Map<number, Pending>()
  readonly #senders = new Map<number, BodySender>()
  #lastId = 0
  #isClosing = false

  constructor(options: WriterOptions, host: WriterHost, url: URL) {
    this.#host = host
    const workerData: WriterThreadData = { options }
    // It needs nothing of the environment, which may hold secrets.
    this.#worker = new Worker(url, { workerData, env: {}, name: 'depot writer' })
    this.opened = new Promise((resolve, reject) => {
      this.#worker.on('message', (message: FromWriter) => {
        if (message.kind === 'open') resolve(message.recovered)
        else if (message.kind === 'failed') reject(new Error(message.problem))
        else this.#receive(message)
      })
      this.#worker.on('error', (error) => {
        reject(error)
        this.#end(error)
      })
    })
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#end(new Error(`exit code ${code}`))
        resolve()
      })
    })
  }

  call<Op extends WriterOp>(
    op: Op,
    argument: Parameters<DepotWriter[Op]>[0],
    body?: AsyncIterable<Uint8Array>,
  ): ReturnType<DepotWriter[Op]> {
    const id = ++this.#lastId
    const result = new Promise<unknown>((resolve, reject) => {
      if (this.isOver) return resolve(refuse('unavailable', 'This cache cannot store anything at the moment'))
      this.#pending.set(id, { resolve, reject })
      const stream = body === undefined ? undefined : ++this.#lastId
      this.#post({ kind: 'call', id, op, argument, stream })
      if (body !== undefined) this.#send(stream!, body)
    })
    return result as ReturnType<DepotWriter[Op]>
  }

  async close(): Promise<void> {
    if (!this.isOver && !this.#isClosing) {
      this.#isClosing = true
      // A body that stalls must not keep the depot open.
      for (const [stream, sender] of this.#senders) {
        sender.drop()
        this.#post({ kind: 'end', stream, problem: 'the cache is shutting down' })
      }
      await this.call('close', undefined as never).catch(() => {})
    }
    await this.#exited
  }

  #post(message: ToWriter): void {
    if (this.isOver) return
    this.#worker.postMessage(message, message.kind === 'chunk' ? [message.bytes.buffer as ArrayBuffer] : [])
  }

  #send(stream: number, body: AsyncIterable<Uint8Array>): void {
    const sender = new BodySender((bytes) => this.#post({ kind: 'chunk', stream, bytes }))
    this.#senders.set(stream, sender)
    sender
      .pump(body)
      .then(
        () => this.#post({ kind: 'end', stream, problem: undefined }),
        (error: Error) => this.#post({ kind: 'end', stream, problem: error.message }),
      )
      .finally(() => this.#senders.delete(stream))
  }

  #receive(message: Exclude<FromWriter, { kind: 'open' | 'failed' }>): void {
    switch (message.kind) {
      case 'result': {
        const pending = this.#pending.get(message.id)
        this.#pending.delete(message.id)
        if (message.problem === undefined) pending?.resolve(message.value)
        else pending?.reject(new Error(message.problem))
        return
      }
      case 'taken':
        return this.#senders.get(message.stream)?.taken(message.bytes)
      case 'drop':
        return this.#senders.get(message.stream)?.drop()
      case 'log':
        return this.#host.log(message.level, message.fields, message.message)
      case 'ask':
        void this.#answer(message)
    }
  }

  async #answer({ id, op, argument }: FromWriter & { readonly kind: 'ask' }): Promise<void> {
    try {
      if (op !== 'openLocal') {
        const value =
          op === 'takeUses' ? await this.#host.takeUses() : await this.#host.describeLocal(argument as string[])
        return this.#post({ kind: 'answer', id, value, stream: undefined, problem: undefined })
      }
      const local = await this.#host.openLocal(argument as string)
      const stream = local === undefined ? undefined : ++this.#lastId
      this.#post({ kind: 'answer', id, value: local?.compression, stream, problem: undefined })
      if (local !== undefined) this.#send(stream!, local.body)
    } catch (error) {
      this.#post({ kind: 'answer', id, value: undefined, stream: undefined, problem: (error as Error).message })
    }
  }

  #end(error: Error): void {
    if (this.isOver) return
    this.isOver = true
    for (const sender of this.#senders.values()) sender.drop()
    if (!this.#isClosing) this.#host.log('error', { err: error }, 'the depot writer thread exited unexpectedly')
    for (const { resolve } of this.#pending.values())
      resolve(refuse('unavailable', 'This cache cannot store anything at the moment; see its log'))
    this.#pending.clear()
  }
}
