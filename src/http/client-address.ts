/**
 * Where a request comes from. Behind the tunnel every connection is made by the connector on this machine, and the edge names the
 * client in `CF-Connecting-IP`; the header counts only when the peer is a loopback address or the unix socket, since anybody else could forge it.
 */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

/** An IP address as text, or `local` for a peer on the unix socket that names none. */
export function clientAddressOf(request: IncomingMessage): string {
  const peer = request.socket.remoteAddress
  if (peer === undefined || isLoopback(peer)) {
    const named = request.headers['cf-connecting-ip']
    if (typeof named === 'string' && isIP(named) !== 0) return named
  }
  return peer ?? 'local'
}

/** What failed logins are counted by: an IPv4 address, or an IPv6 network of 64 bits, which one client owns as a whole. */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  const [head = '', tail] = address.toLowerCase().split('%')[0]!.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = tail === undefined ? before : [...before, ...Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0'), ...after]
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.')
}
