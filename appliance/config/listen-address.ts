/**
 * Where a listener may be bound: a loopback address or a unix socket, and nothing else. The world comes in by the
 * tunnel. `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` (taken as 127.0.0.1), `unix:/run/burrow/burrow.sock`.
 */
import { isIPv4, isIPv6 } from 'node:net'

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** sun_path holds 108 bytes on Linux and 104 on macOS, the final NUL among them. */
const maxSocketPathBytes = 103

/**
 * The address, or why it is none. IPv4-mapped IPv6 addresses are refused: they say in two languages what 127.0.0.1 says
 * in one.
 */
export function parseListenAddress(text: string): ListenAddress | { readonly refusal: string } {
  if (text.startsWith('unix:')) return parseSocketPath(text.slice('unix:'.length))
  const [, bracketed, bare, digits] = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([0-9]{1,5})$/.exec(text) ?? []
  if (digits === undefined) return { refusal: 'is not of the form "127.0.0.1:8080", "[::1]:8080" or "unix:/path"' }
  const port = Number(digits)
  if (port > 65535) return { refusal: 'has a port above 65535' }
  const host = bracketed === undefined ? loopbackV4(bare!) : loopbackV6(bracketed)
  if (host === undefined) return { refusal: 'is not a loopback address, and Burrow listens on no other' }
  return { kind: 'tcp', host, port }
}

function parseSocketPath(path: string): ListenAddress | { readonly refusal: string } {
  if (!path.startsWith('/')) return { refusal: 'names a unix socket without an absolute path' }
  if (path.includes('\0') || path.endsWith('/'))
    return { refusal: 'names a unix socket by a path that cannot be a file' }
  if (Buffer.byteLength(path) > maxSocketPathBytes)
    return {
      refusal: `names a unix socket by a path longer than ${maxSocketPathBytes} bytes, which the system does not allow`,
    }
  return { kind: 'unix', path }
}

/** Four decimal numbers only: resolvers read `127.1`, `0x7f.1` and `0177.0.0.1` each in their own way. */
function loopbackV4(host: string): string | undefined {
  if (host.toLowerCase() === 'localhost') return '127.0.0.1'
  return isIPv4(host) && host.startsWith('127.') ? host : undefined
}

/** `::1` in any of its spellings, without a zone. */
function loopbackV6(host: string): string | undefined {
  return isIPv6(host) && !host.includes('%') && new URL(`http://[${host}]`).hostname === '[::1]' ? '::1' : undefined
}

export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`
}
