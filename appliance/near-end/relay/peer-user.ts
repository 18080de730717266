/**
 * Which user has the other end of a loopback connection, by the kernel's tables of sockets. Source: Linux,
 * Documentation/networking/proc_net_tcp.rst.
 */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'

// Not /proc/net, which ProcSubset=pid of a unit hides.
const tables = ['/proc/self/net/tcp', '/proc/self/net/tcp6']

type Ends = Pick<Socket, 'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort'>

/** The user id; undefined if the connection is gone, or there are no such tables. */
function findPeerUser(ends: Ends): number | undefined {
  for (const table of tables) {
    const userId = findUserIn(readTable(table), ends)
    if (userId !== undefined) return userId
  }
  return undefined
}

const established = '01'
const noInode = '0'

/**
 * The user of the peer's row. Both addresses must be equal: another user may have the same ports on 127.0.0.2. Sockets
 * that their process has closed are listed with the user id 0, so they count as gone.
 */
export function findUserIn(rows: readonly string[], ends: Ends): number | undefined {
  const near = toTableAddresses(ends.remoteAddress, ends.remotePort)
  const far = toTableAddresses(ends.localAddress, ends.localPort)
  for (const row of rows) {
    const [, local = '', remote = '', state, , , , userId, , inode] = row.trim().split(/\s+/)
    if (state !== established || inode === noInode) continue
    if (near.includes(local) && far.includes(remote)) return Number(userId)
  }
  return undefined
}

const ipv6Loopback = '00000000000000000000000001000000'
const mappedPrefix = '0000000000000000FFFF0000'

/** As the tables have it: of IPv4, `0100007F:1F8E` and its form in an IPv6 socket. Empty if it is not a loopback address. */
function toTableAddresses(address: string | undefined, port: number | undefined): readonly string[] {
  if (address === undefined || port === undefined) return []
  const end = `:${toHex(port, 4)}`
  if (address === '::1') return [`${ipv6Loopback}${end}`]
  const [, ...numbers] = /^(?:::ffff:)?(127)\.(\d+)\.(\d+)\.(\d+)$/i.exec(address) ?? []
  if (numbers.length === 0) return []
  const ipv4 = numbers
    .toReversed()
    .map((number) => toHex(Number(number), 2))
    .join('')
  return [`${ipv4}${end}`, `${mappedPrefix}${ipv4}${end}`]
}

const toHex = (number: number, digits: number) => number.toString(16).toUpperCase().padStart(digits, '0')

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
