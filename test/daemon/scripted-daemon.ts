/** A daemon on a socket that behaves as a test tells it to: for what the real one never does. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { encodeInteger, encodeString, WireReader } from '../../src/daemon/wire.ts'

export const last = encodeInteger(0x616c7473)

export interface Peer {
  readonly reader: WireReader
  readonly socket: Socket
  /** The daemon's half of the handshake. */
  greet(minor: number): Promise<void>
}

export interface ScriptedDaemon extends AsyncDisposable {
  readonly socketPath: string
  readonly connections: number
}

export async function startScriptedDaemon(script: (peer: Peer) => Promise<void>): Promise<ScriptedDaemon> {
  const dir = await mkdtemp(join(tmpdir(), 'daemon-'))
  const socketPath = join(dir, 'socket')
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    connections++
    sockets.add(socket)
    const reader = new WireReader()
    socket.on('data', (chunk: Buffer) => reader.feed(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      reader.fail(new Error('the client went away'))
    })
    script({ reader, socket, greet: (minor) => greet(reader, socket, minor) }).catch(() => socket.destroy())
  })
  server.listen(socketPath)
  await once(server, 'listening')
  return {
    socketPath,
    get connections() {
      return connections
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await rm(dir, { recursive: true })
    },
  }
}

/** As Nix's own daemon.cc does it, by the lesser of both versions. */
async function greet(reader: WireReader, socket: Socket, daemonMinor: number): Promise<void> {
  if ((await reader.readInteger()) !== 0x6e697863) throw new Error('no client')
  socket.write(Buffer.concat([encodeInteger(0x6478696f), encodeInteger((1 << 8) | daemonMinor)]))
  const minor = Math.min((await reader.readInteger()) & 0xff, daemonMinor)
  if (minor >= 38) {
    if ((await reader.readInteger()) !== 0) throw new Error('the client asked for features')
    socket.write(Buffer.concat([encodeInteger(1), encodeString('some-feature')]))
  }
  if (minor >= 14 && (await reader.readInteger()) !== 0) throw new Error('the client asked for a CPU')
  if (minor >= 11 && (await reader.readInteger()) !== 0) throw new Error('the client asked for reserved space')
  if (minor >= 33) socket.write(encodeString('2.99'))
  if (minor >= 35) socket.write(encodeInteger(2))
  socket.write(last)
}

/** Reads AddTempRoot and returns its path. */
export async function readTempRoot(reader: WireReader): Promise<string> {
  const operation = await reader.readInteger()
  if (operation !== 11) throw new Error(`unexpected operation ${operation}`)
  return reader.readString(1000)
}

export const rooted = Buffer.concat([last, encodeInteger(1)])
