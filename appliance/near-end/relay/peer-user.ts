/**
 * Which user has the other end of a loopback connection, by the kernel's tables of sockets. Source: Linux,
 * Documentation/networking/proc_net_tcp.rst.
 */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'

// Not /proc/net, which ProcSubset=pid of a unit hides.
const tables = ['/proc/self/net/tcp', '/proc/self/net/tcp6']

/** The user id; undefined if the connection is gone, or there are no such tables. */
export function findPeerUser({ remotePort, localPort }: Pick<Socket, 'remotePort' | 'localPort'>): number | undefined {
  if (remotePort === undefined || localPort === undefined) return undefined
  const [near, far] = [toHex(remotePort), toHex(localPort)]
  for (const table of tables) {
    for (const line of readTable(table)) {
      const [, local, remote, , , , , uid] = line.trim().split(/\s+/)
      if (local?.endsWith(`:${near}`) && remote?.endsWith(`:${far}`)) return Number(uid)
    }
  }
  return undefined
}

const toHex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0')

function readTable(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').slice(1)
  } catch {
    return []
  }
}

/** Asked once for each connection. */
export function allowUsers(userIds: readonly number[]): (socket: Socket) => boolean {
  const allowed = new Set(userIds)
  const known = new WeakMap<Socket, boolean>()
  return (socket) => {
    let may = known.get(socket)
    if (may === undefined) {
      const userId = findPeerUser(socket)
      may = userId !== undefined && allowed.has(userId)
      known.set(socket, may)
    }
    return may
  }
}
