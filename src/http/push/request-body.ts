/**
 * Reads the bodies of uploads: in pieces with a limit on how long they may stall, or whole with a limit on their size.
 */
import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, zstdDecompress } from 'node:zlib'

import { parseContentLength } from '../../content-fields.ts'
import { readAtMost } from '../../read-at-most.ts'

/** A client that sends nothing for this time is considered gone. */
const stallMs = 60_000

const receivedBytes = new WeakMap<IncomingMessage, number>()

/** Bytes of the body received so far. */
export function receivedBytesOf(request: IncomingMessage): number {
  return receivedBytes.get(request) ?? 0
}

/** Ends with the body; throws when it stalls or is cut off. The request can still be answered afterwards. */
export async function* readPieces(request: IncomingMessage): AsyncGenerator<Buffer> {
  const { socket } = request
  const stalled = () => request.destroy(new Error(`The body stalled for ${stallMs / 1000} s`))
  socket.setTimeout(stallMs, stalled)
  try {
    let received = 0
    for await (const piece of request.iterator({ destroyOnReturn: false })) {
      received += piece.length
      receivedBytes.set(request, received)
      yield piece
    }
  } finally {
    socket.off('timeout', stalled)
  }
}

/** Reads and discards the rest of the body, so that the connection can be reused. */
export async function drain(request: IncomingMessage): Promise<void> {
  for await (const piece of readPieces(request)) void piece
}

const decoders: Readonly<Record<string, (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>>> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
}

/**
 * The whole body, decoded according to its `Content-Encoding`. Undefined when it is larger than `maxBytes` as sent or
 * decoded, or when its encoding is unknown or invalid. Rejects when the body is cut off.
 */
export async function readWhole(request: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  const bytes = await readAtMost(readPieces(request), maxBytes)
  if (bytes === undefined) return undefined
  const encoding = request.headers['content-encoding']?.toLowerCase()
  if (encoding === undefined || encoding === 'identity') return bytes
  return await decoders[encoding]?.(bytes, { maxOutputLength: maxBytes }).catch(() => undefined)
}

/** Undefined for a body without a length: behind a tunnel, its end may look like a broken connection. */
export function bodyLength({ headers }: IncomingMessage): number | undefined {
  return parseContentLength(headers['content-length'])
}
