/** Clients on slow lines: each takes a piece, waits, takes the next, and never comes to the end. */
import { connect, type Socket } from 'node:net'
import type { Endpoint } from './cache.ts'

/** About 128 KB/s each: a poor mobile line. */
const pieceBytes = 32 << 10
const pauseMs = 250

export interface SlowReaders {
  progress(): { readonly answered: number; readonly closed: number; readonly bytes: number }
  stop(): void
}

export function startSlowReaders(endpoint: Endpoint, path: string, count: number): SlowReaders {
  let answered = 0
  let closed = 0
  let bytes = 0
  const sockets: Socket[] = []
  const { host, port, authorization } = endpoint
  const credentials = authorization === undefined ? '' : `Authorization: ${authorization}\r\n`
  for (let i = 0; i < count; i++) {
    let started = false
    const onPiece = (length: number, buffer: Uint8Array): boolean => {
      bytes += length
      if (!started && Buffer.from(buffer.buffer, buffer.byteOffset, 13).toString() === 'HTTP/1.1 200 ') answered++
      started = true
      setTimeout(() => socket.resume(), pauseMs).unref()
      return false
    }
    const socket = connect({ host, port, onread: { buffer: Buffer.alloc(pieceBytes), callback: onPiece } })
    socket.on('error', () => undefined).on('close', () => closed++)
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${credentials}\r\n`)
    sockets.push(socket)
  }
  return {
    progress: () => ({ answered, closed, bytes }),
    stop: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}
