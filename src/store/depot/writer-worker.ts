/** The writer's thread. Started by `writer-thread.ts`. */
import { parentPort, workerData } from 'node:worker_threads'

import type { Compression } from '../../nix/nar-info.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { BodyReceiver } from './body-stream.ts'
import type { Use, WriterHost } from './host.ts'
import { DepotWriter } from './writer.ts'
import type { FromWriter, ToWriter, WriterThreadData } from './writer-messages.ts'

if (!parentPort) throw new Error('Cannot run writer-worker as a program: it is the thread that writer-thread starts')
const port = parentPort
const bodies = new Map<number, BodyReceiver>()
const questions = new Map<number, (answer: ToWriter & { readonly kind: 'answer' }) => void>()
let lastQuestion = 0

function post(message: FromWriter): void {
  port.postMessage(message)
}

function openBody(stream: number): BodyReceiver {
  const body = new BodyReceiver(
    (bytes) => post({ kind: 'taken', stream, bytes }),
    () => {
      if (bodies.delete(stream)) post({ kind: 'drop', stream })
    },
  )
  bodies.set(stream, body)
  return body
}

function ask(
  op: 'describeLocal' | 'openLocal' | 'takeUses',
  argument: unknown,
): Promise<ToWriter & { readonly kind: 'answer' }> {
  const id = ++lastQuestion
  return new Promise((resolve, reject) => {
    questions.set(id, (answer) => (answer.problem === undefined ? resolve(answer) : reject(new Error(answer.problem))))
    post({ kind: 'ask', id, op, argument })
  })
}

const host: WriterHost = {
  describeLocal: async (storePaths) =>
    storePaths.length === 0 ? [] : ((await ask('describeLocal', storePaths)).value as (PathInfo | undefined)[]),
  async openLocal(storePath) {
    const { value, stream } = await ask('openLocal', storePath)
    return stream === undefined ? undefined : { compression: value as Compression, body: bodies.get(stream)! }
  },
  takeUses: async () => (await ask('takeUses', undefined)).value as Use[],
  log: (level, fields, message) => post({ kind: 'log', level, fields: describeErrors(fields), message }),
}

/** An error's code and cause would be lost on the way. */
function describeErrors(fields: object): object {
  const { err, ...rest } = fields as { readonly err?: unknown }
  if (!(err instanceof Error)) return fields
  return {
    ...rest,
    err: {
      type: err.name,
      code: (err as NodeJS.ErrnoException).code,
      message: err.message,
      stack: err.stack,
      cause: String(err.cause ?? ''),
    },
  }
}

/** The body is opened before anything is waited for: its chunks follow at once. */
async function call(
  opening: Promise<DepotWriter>,
  { id, op, argument, stream }: ToWriter & { readonly kind: 'call' },
): Promise<void> {
  const body = stream === undefined ? undefined : openBody(stream)
  try {
    const writer = await opening
    const run = writer[op] as (argument: unknown, body?: AsyncIterable<Uint8Array>) => Promise<unknown>
    const value = await run.call(writer, argument, body)
    post({ kind: 'result', id, value, problem: undefined })
  } catch (error) {
    post({ kind: 'result', id, value: undefined, problem: (error as Error).message })
  } finally {
    if (stream !== undefined && bodies.delete(stream)) post({ kind: 'drop', stream })
  }
}

function receive(writer: Promise<DepotWriter>, message: ToWriter): void {
  switch (message.kind) {
    case 'call':
      void call(writer, message).then(() => {
        if (message.op === 'close') port.close()
      })
      return
    case 'chunk':
      return bodies.get(message.stream)?.push(message.bytes)
    case 'end':
      return bodies.get(message.stream)?.end(message.problem)
    case 'answer': {
      const settle = questions.get(message.id)
      questions.delete(message.id)
      if (message.stream !== undefined) openBody(message.stream)
      return settle?.(message)
    }
  }
}

const opening = DepotWriter.open((workerData as WriterThreadData).options, host)
port.on('message', (message: ToWriter) => receive(opening, message))
opening.then(
  ({ recovered }) => post({ kind: 'open', recovered }),
  (error: Error) => {
    post({ kind: 'failed', problem: error.message })
    port.close()
  },
)
