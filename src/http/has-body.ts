/** RFC 9112, section 6.3: without these fields a request has no body. */
import type { IncomingMessage } from 'node:http'

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
}
