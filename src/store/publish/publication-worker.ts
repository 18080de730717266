/** The thread that follows the store and the roots: it looks a few times a second, and says what has changed. */
import { parentPort, workerData } from 'node:worker_threads'

import type { Explanation } from './explain.ts'
import { Publication } from './publication.ts'
import type { ThreadData, ThreadMessage, ThreadRequest } from './thread-messages.ts'

/** Together with the work itself, less than the second within which changes take effect. */
const pauseMs = 250
/** During many changes in a large store the thread works for a third of the time. */
const maxPauseMs = 600

const { policy, place } = workerData as ThreadData
const publication = new Publication(policy, place)
const port = parentPort!
let told = ''

port.on('message', ({ explain, id }: ThreadRequest) => {
  const failure = update()
  let explanation: Explanation | undefined
  if (failure === undefined) explanation = publication.explain(explain)
  post({ kind: 'explained', id, explanation })
})

follow()

function follow(): void {
  const startMs = performance.now()
  update()
  const tookMs = performance.now() - startMs
  setTimeout(follow, Math.min(Math.max(pauseMs, 2 * tookMs), maxPauseMs))
}

/** Anything but an unreadable database is a bug; it is told in the same way, since nothing may be published by it. */
function update(): string | undefined {
  try {
    const paths = publication.update()
    const { count, ofCount, rootProblems } = publication
    const now = JSON.stringify([count, ofCount, rootProblems])
    if (paths === undefined && now === told) return undefined
    told = now
    post(
      { kind: 'updated', paths, count, ofPaths: ofCount, rootProblems },
      paths && [...buffersOf(paths.paths), ...buffersOf(paths.derivers), paths.added.buffer],
    )
    return undefined
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    told = ''
    post({ kind: 'failed', message })
    return message
  }
}

function buffersOf({ keys, values, slots }: { keys: Uint8Array; values: Float64Array; slots: Uint32Array }) {
  return [keys.buffer, values.buffer, slots.buffer] as ArrayBuffer[]
}

function post(message: ThreadMessage, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer)
}
