/**
 * Reads what a far end answers to the question for a closure (protocol.ts): lines of JSON, perhaps gzipped. Size, number
 * of lines and silence are limited, and nothing in it is trusted to have the form it should have.
 */
import type { IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { type Readable, Transform, type TransformOptions } from 'node:stream'
import { createGunzip } from 'node:zlib'

import { parseHashPart } from '../nix/store-path.ts'
import { type Base, type ClosureLine, maxBases, maxClosureNarInfos, maxClosureRoots } from './protocol.ts'

const silenceMs = 10_000
const maxUrlLength = 500
/** Decompressed: what is small on the line may be large in memory. */
const maxReplyBytes = 32 * 1024 * 1024

/** Calls `onReceived` with the number of bytes of each piece. Rejects if the reply breaks off or exceeds a limit. */
export async function* readClosureReply(
  reply: IncomingMessage,
  onReceived: (bytes: number) => void,
): AsyncGenerator<ClosureLine, void, undefined> {
  const stopWatching = destroyWhenSilent(reply)
  reply.on('data', (bytes: Buffer) => onReceived(bytes.length))
  const text: Readable = reply.headers['content-encoding'] === 'gzip' ? reply.pipe(createGunzip()) : reply
  const limited = new Transform({ transform: limitBytes(maxReplyBytes) })
  text.on('error', (error) => limited.destroy(error))
  reply.on('error', (error) => text.destroy(error))
  reply.on('aborted', () => text.destroy(new Error('the reply was cut off')))
  let lines = 0
  try {
    for await (const line of createInterface({ input: text.pipe(limited), crlfDelay: Number.POSITIVE_INFINITY })) {
      if (++lines > maxClosureNarInfos + maxClosureRoots + 1) throw new Error('the reply has too many lines')
      yield JSON.parse(line) as ClosureLine
    }
  } finally {
    stopWatching()
    reply.destroy()
  }
}

/** A body that stops arriving would keep its place among the questions. */
export function destroyWhenSilent(reply: IncomingMessage): () => void {
  const timer = setTimeout(() => reply.destroy(new Error(`nothing arrived for ${silenceMs} ms`)), silenceMs)
  reply.on('data', () => void timer.refresh())
  return () => clearTimeout(timer)
}

function limitBytes(maxBytes: number): TransformOptions['transform'] & {} {
  let bytes = 0
  return (piece: Buffer, _encoding, done) => {
    bytes += piece.length
    if (bytes > maxBytes) done(new Error(`the reply has more than ${maxBytes} bytes`))
    else done(null, piece)
  }
}

/** What a far end sends is not trusted to have the form it should have. */
export function basesIn(value: unknown): Base[] {
  if (!Array.isArray(value)) return []
  return value.slice(0, maxBases).flatMap((base: Partial<Base> | null) => {
    const { hashPart, narHash, url, deltaSize } = base ?? {}
    if (typeof hashPart !== 'string' || parseHashPart(hashPart) === undefined || !isNarHash(narHash)) return []
    if (typeof url !== 'string' || url.length > maxUrlLength) return []
    return [{ hashPart, narHash, url, ...(isSize(deltaSize) && { deltaSize }) }]
  })
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0

function isNarHash(value: unknown): value is string {
  return typeof value === 'string' && /^sha256:[01][0-9a-df-np-sv-z]{51}$/.test(value)
}
