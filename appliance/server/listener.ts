/**
 * One HTTP server's life on an address: bound, answering, drained, closed. Draining lets requests under way finish,
 * closes each connection as its response ends, and at the limit destroys what is left: `server.close()` alone waits for
 * idle keep-alive connections.
 */
import { once } from 'node:events'
import { chmod, lstat, unlink } from 'node:fs/promises'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'

import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import { formatListenAddress, type ListenAddress } from '../config/listen-address.ts'
import { readSocketPath, requireLoopback } from '../systemd/socket-activation.ts'
import { isListenerAbsent } from './connect-errors.ts'

/** An HTTP server that a supervisor can point a tunnel at, and drain. */
export interface Listener extends AsyncDisposable {
  /** With the port that was really bound. */
  readonly address: ListenAddress
  /** `http://127.0.0.1:8080`, or `unix:/path`: the form cloudflared takes for an origin service. */
  readonly url: string
  /** Requests being answered. */
  readonly requestsUnderWay: number
  readonly isDraining: boolean
  /**
   * Takes no new connections; resolves when none is left, at the latest after `limitMs`. Idempotent: later calls wait
   * for the first.
   */
  drain(limitMs: number): Promise<{ readonly cut: number }>
}

export interface ListenOptions {
  /** How long disposal lets requests under way go on. */
  readonly drainMs: number
  /** Permissions of a unix socket; connecting takes the right to write. */
  readonly socketMode?: number
  /**
   * A listening socket that systemd passed (`findInheritedSocket`): taken over in place of the address, if it is as
   * private.
   */
  readonly inheritedSocket?: number | undefined
}

/**
 * With Node's 511 a thousand connections at once overflow the queue, and further clients wait for TCP retransmissions:
 * 1, 3, 7 s. The kernel's own limit is 4096.
 */
const backlog = 4096

/** @throws {Complaint} listen; config for an inherited socket that others can reach */
export async function openListener(server: Server, address: ListenAddress, options: ListenOptions): Promise<Listener> {
  const { drainMs, socketMode = 0o660, inheritedSocket } = options
  const life = watchConnections(server)
  const bound = await (inheritedSocket === undefined
    ? bind(server, address, socketMode)
    : adopt(server, inheritedSocket))
  let draining: Promise<{ cut: number }> | undefined
  const drain = (limitMs: number) => {
    draining ??= life.drain(limitMs)
    return draining
  }
  return {
    address: bound,
    url: urlOf(bound) ?? formatListenAddress(bound),
    get requestsUnderWay() {
      return life.underWay
    },
    get isDraining() {
      return draining !== undefined
    },
    drain,
    [Symbol.asyncDispose]: async () => void (await drain(drainMs)),
  }
}

/** How a client on this machine reaches it; `undefined` for a unix socket, for which there is no URL. */
export function urlOf(address: ListenAddress): string | undefined {
  return address.kind === 'unix' ? undefined : `http://${formatListenAddress(address)}`
}

async function bind(server: Server, address: ListenAddress, socketMode: number): Promise<ListenAddress> {
  if (address.kind === 'unix') await removeStaleSocket(address.path)
  try {
    server.listen({
      ...(address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port }),
      backlog,
    })
    await once(server, 'listening')
    if (address.kind === 'unix') await chmod(address.path, socketMode)
  } catch (error) {
    server.close()
    throw toComplaint(address, error)
  }
  return boundAddress(server, address)
}

async function adopt(server: Server, descriptor: number): Promise<ListenAddress> {
  try {
    server.listen({ fd: descriptor })
    // At once: no connection is accepted before this turn of the loop is over.
    const bound = server.listening ? requireLoopback(server) : undefined
    await once(server, 'listening')
    return bound === undefined || bound === 'unix' ? await readSocketPath(descriptor) : bound
  } catch (error) {
    server.close()
    server.closeAllConnections()
    if (error instanceof Complaint) throw error
    const reason =
      systemCodeOf(error) === 'EINVAL'
        ? 'it is not a listening stream socket. Set ListenStream= and Accept=no in its socket unit'
        : reasonOf(error)
    throw new Complaint('config', `Cannot take over the socket that systemd passed: ${reason}`, { cause: error })
  }
}

function boundAddress(server: Server, address: ListenAddress): ListenAddress {
  return address.kind === 'unix' ? address : { ...address, port: (server.address() as AddressInfo).port }
}

function watchConnections(server: Server) {
  const underWay = new Set<ServerResponse>()
  let isDraining = false

  server.prependListener('request', (_request: IncomingMessage, response: ServerResponse) => {
    underWay.add(response)
    if (isDraining) response.shouldKeepAlive = false
    response.once('close', () => {
      underWay.delete(response)
      // The connection counts as idle only after this turn of the loop.
      if (isDraining) setImmediate(() => server.closeIdleConnections())
    })
  })

  return {
    get underWay() {
      return underWay.size
    },
    async drain(limitMs: number): Promise<{ cut: number }> {
      isDraining = true
      // The client learns from `Connection: close` that it must not ask again here.
      for (const response of underWay) if (!response.headersSent) response.shouldKeepAlive = false
      let cut = 0
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const giveUp = () => {
        cut = underWay.size
        server.closeAllConnections()
      }
      const timer = limitMs === 0 ? undefined : setTimeout(giveUp, limitMs)
      if (limitMs === 0) giveUp()
      await closed
      clearTimeout(timer)
      return { cut }
    },
  }
}

/** The socket file of a killed process remains. It is removed only if no process listens on it. */
async function removeStaleSocket(path: string): Promise<void> {
  const stat = await lstat(path).catch(() => undefined)
  if (stat === undefined) return
  if (!stat.isSocket())
    throw new Complaint(
      'listen',
      `Cannot listen on "unix:${path}": a file of that name exists and is not a socket. Remove it, or choose another path`,
    )
  if (await isAnswered(path))
    throw new Complaint(
      'listen',
      `Cannot listen on "unix:${path}": another process answers there; stop it, or choose another path`,
    )
  await unlink(path).catch((error: unknown) => {
    if (systemCodeOf(error) !== 'ENOENT') throw toComplaint({ kind: 'unix', path }, error)
  })
}

/** Only a failed connection of this kind proves that no process listens. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error) => resolve(!isListenerAbsent(systemCodeOf(error))))
  })
}

const remedies: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'another process listens there; stop it, or choose another address with --listen or "listen" ("operator" for the operators\' listener)',
  EACCES: 'permission denied: ports below 1024 are reserved for root',
  EADDRNOTAVAIL: 'this machine does not have that address; choose another',
}
// libuv reports a missing directory as EACCES too.
const socketRemedy = 'its directory does not exist or is not writable for this user. Create it, or choose another path'

function toComplaint(address: ListenAddress, error: unknown): Complaint {
  if (error instanceof Complaint) return error
  const code = systemCodeOf(error)
  const remedy = code === 'EACCES' && address.kind === 'unix' ? socketRemedy : (remedies[code ?? ''] ?? reasonOf(error))
  return new Complaint('listen', `Cannot listen on "${formatListenAddress(address)}": ${remedy}`, { cause: error })
}
