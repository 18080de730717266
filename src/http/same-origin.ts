/**
 * Whether a request that changes something was sent by a page of this cache, or by a program. Browsers say where a
 * request comes from in `Sec-Fetch-Site` (over HTTPS and to loopback), older ones in `Origin` alone, as `null` on pages
 * with `Referrer-Policy: no-referrer`. Programs send neither.
 */
import type { IncomingMessage } from 'node:http'

/** `acceptsNull`: for an address that cannot be guessed, where an `Origin` of `null` says enough. */
export function isSameOrigin({ headers }: IncomingMessage, acceptsNull = false): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin'
  const { origin, host } = headers
  if (origin === undefined) return true
  if (origin === 'null') return acceptsNull
  return host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase()
}
