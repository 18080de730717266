/**
 * Where a request comes from. Behind the tunnel, the connector on this machine makes every connection. The edge sends
 * the client's address in `CF-Connecting-IP`, the request's ID in `CF-Ray` and the client's scheme in
 * `X-Forwarded-Proto`. They are trusted only when the peer is a loopback address or the Unix socket, because any other
 * client could forge them, and only in the format that the edge uses. Source: Cloudflare's "HTTP request headers".
 */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

/**
 * The longest possible address is `xxxx:xxxx:xxxx:xxxx:xxxx:xxxx:255.255.255.255`. A zone, which may have any length,
 * has a meaning only on its own machine.
 */
const maxAddressLength = 45
const rayFormat = /^[0-9a-f]{1,32}(?:-[A-Z]{3,4})?$/
/** A name or an IPv4 address, or an IPv6 one in brackets, and a port. */
const hostFormat = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?$/i

/** An IP address as text, or `local` for a peer on the Unix socket that sends none. */
export function clientAddressOf(request: IncomingMessage): string {
  if (isFromConnector(request)) {
    const address = request.headers['cf-connecting-ip']
    if (
      typeof address === 'string' &&
      address.length <= maxAddressLength &&
      !address.includes('%') &&
      isIP(address) !== 0
    )
      return address
  }
  return request.socket.remoteAddress ?? 'local'
}

/**
 * The edge's ID of the request, `8f2a6c9d1e0b4c57-FRA`: a hexadecimal number and the airport code of the data centre.
 * Undefined for anything else.
 */
export function rayOf(request: IncomingMessage): string | undefined {
  const ray = request.headers['cf-ray']
  return typeof ray === 'string' && rayFormat.test(ray) && isFromConnector(request) ? ray : undefined
}

/**
 * Where the client reaches this cache, `https://cache.example.com`, from its `Host` header and the scheme that the edge
 * reports. It contains only characters that are valid in a host, but the client chose it: show it to that client only.
 * Undefined when it is not a host.
 */
export function publicOriginOf(
  request: IncomingMessage,
): { readonly url: string; readonly hostname: string } | undefined {
  const { host, 'x-forwarded-proto': forwarded } = request.headers
  if (host === undefined || !hostFormat.test(host)) return undefined
  const scheme = forwarded === 'https' && isFromConnector(request) ? 'https' : 'http'
  return { url: `${scheme}://${host}`, hostname: host.replace(/:\d+$/, '') }
}

/** As `publicOriginOf`, with a name to be replaced where it is not known. */
export function shownOriginOf(request: IncomingMessage): { readonly url: string; readonly hostname: string } {
  return publicOriginOf(request) ?? { url: 'https://this.address', hostname: 'this.address' }
}

/**
 * A socket's peer address is looked up when it connects (server.ts), so it is also known after the socket was closed:
 * only a Unix socket has none.
 */
function isFromConnector({ socket: { remoteAddress } }: IncomingMessage): boolean {
  return remoteAddress === undefined || isLoopback(remoteAddress)
}

/**
 * The network that failed logins are counted by: an IPv4 address, or the /64 of an IPv6 address, since one client usually
 * owns a whole /64.
 */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  const [head = '', tail] = address.toLowerCase().split('%')[0]!.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups =
    tail === undefined
      ? before
      : [...before, ...Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0'), ...after]
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.')
}
