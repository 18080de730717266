/** The scribe's thread. Started by `scribe-thread.ts`. */
import { parentPort, workerData } from 'node:worker_threads'

import type { Compression } from '../../nix/nar-info.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { BodyReceiver } from './body-stream.ts'
import type { ScribeHost, Use } from './host.ts'
import { Scribe } from './scribe.ts'
import type { FromScribe, ScribeThreadData, ToScribe } from './scribe-messages.ts'

if (!parentPort) throw new Error('Cannot run scribe-worker as a program: it is the thread that scribe-thread starts')
const port = parentPort
const bodies = new Map<number, BodyReceiver>()
const questions = new Map<number, (answer: ToScribe & { readonly kind: 'answer' }) => void>()
let lastQuestion = 0

function post(message: FromScribe): void {
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
): Promise<ToScribe & { readonly kind: 'answer' }> {
  const id = ++lastQuestion
  return new Promise((resolve, reject) => {
    questions.set(id, (answer) => (answer.problem === undefined ? resolve(answer) : reject(new Error(answer.problem))))
    post({ kind: 'ask', id, op, argument })
  })
}

const host: ScribeHost = {
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
  opening: Promise<Scribe>,
  { id, op, argument, stream }: ToScribe & { readonly kind: 'call' },
): Promise<void> {
  const body = stream === undefined ? undefined : openBody(stream)
  try {
    const scribe = await opening
    const run = scribe[op] as (argument: unknown, body?: AsyncIterable<Uint8Array>) => Promise<unknown>
    const value = await run.call(scribe, argument, body)
    post({ kind: 'result', id, value, problem: undefined })
  } catch (error) {
    post({ kind: 'result', id, value: undefined, problem: (error as Error).message })
  } finally {
    if (stream !== undefined && bodies.delete(stream)) post({ kind: 'drop', stream })
  }
}

function receive(scribe: Promise<Scribe>, message: ToScribe): void {
  switch (message.kind) {
    case 'call':
      void call(scribe, message).then(() => {
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

const opening = Scribe.open((workerData as ScribeThreadData).options, host)
port.on('message', (message: ToScribe) => receive(opening, message))
opening.then(
  ({ recovered }) => post({ kind: 'open', recovered }),
  (error: Error) => {
    post({ kind: 'failed', problem: error.message })
    port.close()
  },
)
