/**
 * Where a request comes from. Behind the tunnel every connection is made by the connector on this machine, and the edge
 * names the client in `CF-Connecting-IP`, the request in `CF-Ray` and the client's scheme in `X-Forwarded-Proto`; they
 * count only when the peer is a loopback address or the unix socket, since anybody else could forge them, and only in
 * the shape the edge gives them. Source: Cloudflare's "HTTP request headers".
 */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

/**
 * The longest an address can be, as `xxxx:xxxx:xxxx:xxxx:xxxx:xxxx:255.255.255.255`: a zone, which may be of any
 * length, means nothing to others than its own machine.
 */
const maxAddressLength = 45
const rayShape = /^[0-9a-f]{1,32}(?:-[A-Z]{3,4})?$/
/** A name or an IPv4 address, or an IPv6 one in brackets, and a port. */
const hostShape = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?$/i

/** An IP address as text, or `local` for a peer on the unix socket that names none. */
export function clientAddressOf(request: IncomingMessage): string {
  if (isFromConnector(request)) {
    const named = request.headers['cf-connecting-ip']
    if (typeof named === 'string' && named.length <= maxAddressLength && !named.includes('%') && isIP(named) !== 0)
      return named
  }
  return request.socket.remoteAddress ?? 'local'
}

/**
 * The edge's name for the request, `8f2a6c9d1e0b4c57-FRA`: hexadecimal, and the airport of the data centre. Anything
 * else is not the edge's.
 */
export function rayOf(request: IncomingMessage): string | undefined {
  const ray = request.headers['cf-ray']
  return typeof ray === 'string' && rayShape.test(ray) && isFromConnector(request) ? ray : undefined
}

/**
 * Where the client reaches this cache, `https://cache.example.com`, by what it calls us and by what the edge says of
 * its connection. Nothing but the characters of a host gets through; still a stranger's word, fit for showing it to
 * himself. Undefined when it is not a host.
 */
export function publicOriginOf(
  request: IncomingMessage,
): { readonly url: string; readonly hostname: string } | undefined {
  const { host, 'x-forwarded-proto': forwarded } = request.headers
  if (host === undefined || !hostShape.test(host)) return undefined
  const scheme = forwarded === 'https' && isFromConnector(request) ? 'https' : 'http'
  return { url: `${scheme}://${host}`, hostname: host.replace(/:\d+$/, '') }
}

/**
 * A socket's peer is looked up as it connects (server.ts), so that it is known of a closed one as well: only a unix
 * socket has none.
 */
function isFromConnector({ socket: { remoteAddress } }: IncomingMessage): boolean {
  return remoteAddress === undefined || isLoopback(remoteAddress)
}

/**
 * What failed logins are counted by: an IPv4 address, or an IPv6 network of 64 bits, which one client owns as a whole.
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
