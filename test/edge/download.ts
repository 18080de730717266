/** A reply's body on its way from the connector: counted, cut on demand, and never passed off as whole when its stream was reset. */
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
 * Whether END_STREAM has come; to be called as soon as the stream is there. To a reader Node ends a stream just as well that was reset without an error,
 * or whose session was destroyed: it pushes the same null, but only after it has closed the stream.
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

/** Throws when the stream ends otherwise than cleanly with all its bytes. */
export async function* readDownload(stream: ClientHttp2Stream, options: DownloadOptions): AsyncGenerator<Buffer> {
  const { connection, exchange, faults, watchdog, contentLength, hasEnded } = options
  watchdog.arm()
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      // Only the connector's silence counts, not an eyeball that reads slowly.
      watchdog.disarm()
      const cut = faults.cutWithin(exchange.bytes, chunk.length)
      const part = cut === undefined ? chunk : chunk.subarray(0, cut)
      exchange.bytes += part.length
      if (part.length > 0) yield part
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
  if (contentLength !== undefined && exchange.bytes !== contentLength) throw new Error(`The body has ${exchange.bytes} bytes of ${contentLength}`)
}
