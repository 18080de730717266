/**
 * A TCP socket for TLS and HTTP/2 that is read all the time. Node's HTTP/2 stops reading while it writes, and of a
 * connection that is cut just then it never hears: neither `end` nor `error` nor `close`, its streams hang for ever.
 * What piles up here is bounded by HTTP/2's windows.
 */
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

export function readAlways(tcp: Socket): Duplex {
  const duplex = new Duplex({
    read() {},
    write: (chunk: Buffer, _encoding, done) => void tcp.write(chunk, done),
    writev(chunks, done) {
      tcp.cork()
      for (const { chunk } of chunks.slice(0, -1)) tcp.write(chunk)
      tcp.write(chunks.at(-1)!.chunk, done)
      tcp.uncork()
    },
    final: (done) => void tcp.end(done),
    destroy(error, done) {
      tcp.destroy()
      done(error)
    },
  })
  duplex.on('error', () => {})
  tcp.on('data', (chunk: Buffer) => duplex.push(chunk))
  tcp.once('end', () => duplex.push(null))
  tcp.once('close', () => duplex.destroy())
  return duplex
}
