/**
 * An eyeball's body on its way to the connector: no faster than it is read there, and never cleanly ended when it is
 * not whole.
 */
import type { IncomingMessage } from 'node:http'
import type { ClientHttp2Stream } from 'node:http2'
import type { Writable } from 'node:stream'

/** Bigger writes count against the session's memory as a whole until the peer's window has let them through. */
const writeBytes = 16 * 1024

export type UploadEnd = 'whole' | 'too-large' | 'cut' | 'unwanted'

/** `passed` is told each count of bytes that went on. */
export async function sendUpload(
  request: IncomingMessage,
  stream: ClientHttp2Stream,
  maxBytes: number,
  passed: (bytes: number) => void,
): Promise<UploadEnd> {
  let total = 0
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      total += chunk.length
      if (total > maxBytes) return 'too-large'
      for (let at = 0; at < chunk.length; at += writeBytes) {
        if (stream.destroyed || stream.closed) return 'unwanted'
        const part = chunk.subarray(at, at + writeBytes)
        const isFull = !stream.write(part)
        passed(part.length)
        if (isFull) await untilWritable(stream)
      }
    }
  } catch {
    return 'cut'
  }
  stream.end()
  return 'whole'
}

/** Resolves when there is room again, or nothing more to write to. */
export function untilWritable(sink: Writable): Promise<void> {
  if (sink.destroyed || sink.closed) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      sink.off('drain', done).off('close', done)
      resolve()
    }
    sink.on('drain', done).on('close', done)
  })
}
