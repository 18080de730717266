/**
 * A reply's body on its way from the connector: counted, cut on demand, and never passed off as whole when its stream
 * was reset.
 */
import type { ClientHttp2Stream } from 'node:http2'

import type { Connection } from './connection.ts'
import type { Exchange } from './exchange.ts'
import type { Faults } from './faults.ts'
import type { Watchdog } from './watchdog.ts'

export interface DownloadOptions {
  readonly connection: Connection
  readonly exchange: Exchange
  readonly faults: Faults
  readonly watchdog: Watchdog
  /** What the head promises; `undefined` when it says nothing, or none will come. */
  readonly contentLength: number | undefined
  readonly hasEnded: () => boolean
}

/**
 * Whether END_STREAM has come; to be called as soon as the stream is there. To a reader Node ends a stream just as well
 * that was reset without an error, or whose session was destroyed: it pushes the same null, but only after it has
 * closed the stream.
 */
export function watchEnd(stream: ClientHttp2Stream): () => boolean {
  let hasEnded = false
  const push = stream.push
  stream.push = (chunk, encoding) => {
    if (chunk === null && !stream.closed && !stream.destroyed) hasEnded = true
    return push.call(stream, chunk, encoding)
  }
  return () => hasEnded
}

/**
 * Node's own iterator takes a stream for broken that is closed before it is read, as that of a small reply is which
 * comes in one piece.
 */
export async function* chunksOf(stream: ClientHttp2Stream): AsyncGenerator<Buffer> {
  let wake = () => {}
  const changed = () => wake()
  for (const event of ['readable', 'end', 'close']) stream.on(event, changed)
  while (true) {
    const chunk = stream.read() as Buffer | null
    if (chunk !== null) yield chunk
    else if (stream.readableEnded || stream.destroyed) return
    else
      await new Promise<void>((resolve) => {
        wake = resolve
      })
  }
}

/** Throws when the stream ends otherwise than cleanly with all its bytes. */
export async function* readDownload(stream: ClientHttp2Stream, options: DownloadOptions): AsyncGenerator<Buffer> {
  const { connection, exchange, faults, watchdog, contentLength, hasEnded } = options
  watchdog.arm()
  let last: Buffer | undefined
  try {
    for await (const chunk of chunksOf(stream)) {
      // Only the connector's silence counts, not an eyeball that reads slowly.
      watchdog.disarm()
      const cut = faults.cutWithin(exchange.bytes, chunk.length)
      const part = cut === undefined ? chunk : chunk.subarray(0, cut)
      exchange.bytes += part.length
      // Behind its last byte an eyeball hangs up, and would seem to have left if END_STREAM were still on its way.
      if (cut === undefined && exchange.bytes === contentLength) last = part
      else if (part.length > 0) yield part
      if (cut !== undefined) {
        connection.drop()
        throw new Error('The edge has dropped the connection, as it was told to')
      }
      watchdog.arm()
    }
  } finally {
    watchdog.disarm()
  }
  if (!hasEnded()) throw new Error(`The connector has reset the stream with code ${stream.rstCode}`)
  if (contentLength !== undefined && exchange.bytes !== contentLength)
    throw new Error(`The body has ${exchange.bytes} bytes of ${contentLength}`)
  if (last !== undefined && last.length > 0) yield last
}
