/**
 * Creates the public server, not yet listening: node:http with limits against hostile clients and settings for the
 * tunnel.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import type { Limits } from './origin.ts'

/**
 * cloudflared keeps idle connections for 90 s. It must close them before we do: a request on a connection that we are
 * closing would become a 502.
 */
const keepAliveMs = 120_000
/** For a peer that does not close its connection after an error reply. */
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
      // Uploads may take any time: routes that read a body limit how long it may stall, and all others close the
      // connection after their reply.
      requestTimeout: 0,
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: checkIntervalMs,
      noDelay: true,
      // Most requests have no body: without its events they are answered with less work.
      optimizeEmptyRequests: true,
    },
    handle,
  )
  server.maxConnections = limits.connections
  server.timeout = limits.stallSeconds * 1000
  server.on('clientError', refuseMalformed)
  // Node caches the peer's address when it is first read, and cannot determine it after the connection was closed.
  server.on('connection', (socket: Socket) => void socket.remoteAddress)
  // Requests with any Expect header are handled like others: Node's own 417 would not require credentials.
  server.on('checkExpectation', handle)
  // This is not a proxy.
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => socket.destroy())
  return server
}

const statusByParserError: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
}

/** Answers malformed requests with a status, without any text from the request, and closes the connection. */
function refuseMalformed(error: NodeJS.ErrnoException, duplex: Duplex): void {
  const socket = duplex as Socket
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  // An error reply must not end up in the middle of another reply.
  if (socket.bytesWritten > 0) {
    socket.destroy()
    return
  }
  const status = statusByParserError[error.code ?? ''] ?? 400
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nCache-Control: no-store\r\nCDN-Cache-Control: no-store\r\nCloudflare-CDN-Cache-Control: no-store\r\nContent-Length: 0\r\n\r\n`,
  )
  // `end` closes one direction only: the peer could keep the other open, and with it the file descriptor.
  setTimeout(() => socket.destroy(), lingerMs).unref()
}
