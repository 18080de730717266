/**
 * The network of an address, in place of the address itself: the /24 of an IPv4 address (RFC 4632), the /48 of an IPv6
 * address, which a site usually has. Enough to see where a user's requests come from, and not who it was.
 */
import { isIP } from 'node:net'

/** `203.0.113.0/24`, `2001:db8:1::/48`, or `local` for this machine. Undefined for text that is no address. */
export function networkOf(address: string): string | undefined {
  if (address === 'local') return 'local'
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  const plain = mapped ?? address
  if (isIP(plain) === 4) return plain.startsWith('127.') ? 'local' : `${plain.split('.').slice(0, 3).join('.')}.0/24`
  if (isIP(plain) !== 6) return undefined
  if (plain === '::1') return 'local'
  const [head = ''] = plain.split('%')[0]!.split('::')
  const groups = head.split(':').slice(0, 3)
  while (groups.length < 3) groups.push('0')
  return `${groups.map((group) => Number.parseInt(group || '0', 16).toString(16)).join(':')}::/48`
}
