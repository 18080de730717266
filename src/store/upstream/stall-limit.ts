/** A body that must keep arriving. */
import type { Readable } from 'node:stream'

/**
 * The chunks of the body. Rejects when none has come for so long, or when the signal aborts. The body is destroyed in
 * any case.
 */
export async function* withStallLimit(body: Readable, stallMs: number, signal: AbortSignal): AsyncGenerator<Buffer> {
  const stop = () => void body.destroy(new Error('The download was cancelled'))
  signal.addEventListener('abort', stop)
  let timer: NodeJS.Timeout | undefined
  const watch = () => {
    clearTimeout(timer)
    timer = setTimeout(() => body.destroy(new Error(`nothing came for ${stallMs} ms`)), stallMs)
  }
  try {
    watch()
    for await (const chunk of body as AsyncIterable<Buffer>) {
      watch()
      yield chunk
    }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
    body.destroy()
  }
}
