/**
 * The public server, not yet listening: node:http with limits for hostile clients and settings for the tunnel in front.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import type { Limits } from './origin.ts'

/**
 * cloudflared keeps idle connections for 90 s; whoever closes first must not be us, or a request meets a closing socket
 * and becomes a 502.
 */
const keepAliveMs = 120_000
/** For a peer that neither reads nor closes after it was refused. */
const lingerMs = 1_000
const checkIntervalMs = 2_000

export function createPublicServer(
  limits: Limits,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersSeconds * 1000,
      // An upload takes as long as it takes; a route that reads a body bounds how long it may stall, and all others end
      // the connection with their reply.
      requestTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: checkIntervalMs,
      noDelay: true,
    },
    handle,
  )
  server.maxConnections = limits.connections
  server.timeout = limits.stallSeconds * 1000
  server.on('clientError', refuseMalformed)
  // Node remembers the peer's address once it was asked for, and can no longer find it out when the connection is
  // closed.
  server.on('connection', (socket: Socket) => void socket.remoteAddress)
  // Whatever a request expects, it is answered as any other: Node's own 417 would ask for no credentials.
  server.on('checkExpectation', handle)
  // A tunnel through the origin is never meant.
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => socket.destroy())
  return server
}

const statusByParserError: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
}

/** What is no HTTP gets a bare status and the end of the connection: nothing of what it sent comes back. */
function refuseMalformed(error: NodeJS.ErrnoException, duplex: Duplex): void {
  const socket = duplex as Socket
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  // A reply already under way on this connection must not be continued by an error message.
  if (socket.bytesWritten > 0) {
    socket.destroy()
    return
  }
  const status = statusByParserError[error.code ?? ''] ?? 400
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nCache-Control: no-store\r\nCDN-Cache-Control: no-store\r\nCloudflare-CDN-Cache-Control: no-store\r\nContent-Length: 0\r\n\r\n`,
  )
  // `end` closes one direction only: a peer that never closes its own would keep the descriptor.
  setTimeout(() => socket.destroy(), lingerMs).unref()
}
