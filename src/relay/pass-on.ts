/** Small files of the far end (listings, build logs, realisations) as they are. */
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Line } from './line.ts'

const answerMs = 10_000

/** False if the far end does not have the file or cannot be reached: then nothing was answered. Never rejects. */
export async function passOn(
  line: Line,
  { method }: IncomingMessage,
  response: ServerResponse,
  path: string,
): Promise<boolean> {
  if (!line.isUsable) return false
  const reply = await line
    .request({ method: method as 'GET' | 'HEAD', path, headerTimeoutMs: answerMs })
    .catch(() => undefined)
  if (reply === undefined) return false
  if (reply.statusCode !== 200) {
    reply.resume()
    return false
  }
  const { 'content-type': type, 'content-length': length } = reply.headers
  response.writeHead(200, {
    'content-type': type ?? 'application/octet-stream',
    ...(length !== undefined && { 'content-length': length }),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  reply.on('data', (bytes: Buffer) => line.received(bytes.length))
  reply.on('aborted', () => response.destroy())
  response.on('close', () => reply.destroy())
  reply.pipe(response)
  return true
}
