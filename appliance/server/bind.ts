/**
 * Binds an HTTP server to an address, or takes over a socket that systemd passed. Failures name the address and the
 * remedy.
 */
import { once } from 'node:events'
import { chmod, lstat, unlink } from 'node:fs/promises'
import type { Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'

import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import { formatListenAddress, type ListenAddress } from '../config/listen-address.ts'
import { readSocketPath, requireLoopback } from '../systemd/socket-activation.ts'
import { isListenerAbsent } from './connect-errors.ts'

/**
 * With Node's 511 a thousand connections at once overflow the queue, and further clients wait for TCP retransmissions:
 * 1, 3, 7 s. The kernel's own limit is 4096.
 */
const backlog = 4096

export async function bind(server: Server, address: ListenAddress, socketMode: number): Promise<ListenAddress> {
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

export async function adopt(server: Server, descriptor: number): Promise<ListenAddress> {
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
    'another process listens there; stop it, or choose another address with --listen, or in the config with "listen" or "operator"',
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
