/**
 * Errors that the edge itself reports when it does not reach the origin. Browsers get an HTML page, other clients a body
 * such as `error code: 1033`. Source:
 * https://developers.cloudflare.com/support/troubleshooting/http-status-codes/ (5xx, and 1xxx errors).
 */
import type { FaultName, Trouble } from './finding.ts'

type Entry = readonly [fault: FaultName, what: string, remedy: string]

const pointElsewhere =
  'point the DNS record of this hostname to the tunnel (CNAME to TUNNEL-ID.cfargotunnel.com, proxied), not to a server'
const lookAtServer =
  'check with "burrow status" that Burrow runs and its tunnel is connected; after a start this may take a minute'

const byCode: Readonly<Record<number, Entry>> = {
  1000: ['not-routed', 'its DNS record points to an address of Cloudflare itself', pointElsewhere],
  1001: ['not-routed', 'the edge does not know this hostname', pointElsewhere],
  1010: [
    'blocked',
    'the edge blocks this kind of client (browser integrity check)',
    'turn off the browser integrity check for this hostname',
  ],
  1015: [
    'rate-limit',
    'a rate limiting rule of the zone blocks clients',
    'exempt this hostname from rate limiting rules: downloading one closure takes thousands of requests',
  ],
  1016: ['not-routed', 'its DNS record points to a tunnel or hostname that does not exist', pointElsewhere],
  1020: [
    'blocked',
    'a firewall rule of the zone blocks this client',
    'exempt this hostname from firewall (WAF) rules: Burrow checks passwords itself',
  ],
  1033: ['not-routed', 'the edge has no connector for its tunnel', lookAtServer],
}

const byStatus: Readonly<Record<number, Entry>> = {
  413: [
    'body-limit',
    'the request body is larger than the edge allows',
    'use "burrow push" instead of "nix copy": it keeps each request below the limit of the plan (100 MB on Free and Pro, 200 MB on Business)',
  ],
  502: [
    'origin-unreachable',
    'the connector of the tunnel cannot reach Burrow',
    'set the service of the tunnel\'s public hostname to the address that "burrow status" shows for "origin", with http and not https',
  ],
  504: ['timeout', 'a gateway on the way timed out waiting for Burrow', 'check the load of this machine, and the log'],
  520: [
    'edge-error',
    'the edge received an invalid response',
    'check the log of Burrow; it may have stopped while it sent a response',
  ],
  521: [
    'wrong-ingress',
    'the edge connects to a server instead of the tunnel, and the connection is refused',
    pointElsewhere,
  ],
  522: [
    'wrong-ingress',
    'the edge connects to a server instead of the tunnel, and the connection times out',
    pointElsewhere,
  ],
  523: [
    'wrong-ingress',
    'the edge connects to a server instead of the tunnel, and that server is unreachable',
    pointElsewhere,
  ],
  524: [
    'timeout',
    'the edge received no response from Burrow within 120 s',
    'check the load of this machine, the log, and "limits.firstByteSeconds", which must be well below 120',
  ],
  525: [
    'wrong-ingress',
    'the edge connects to a server instead of the tunnel, and the TLS handshake fails',
    pointElsewhere,
  ],
  526: [
    'wrong-ingress',
    'the edge connects to a server instead of the tunnel, and its certificate is invalid',
    pointElsewhere,
  ],
  530: ['not-routed', 'the edge cannot reach the tunnel', lookAtServer],
}

/** The number after "error code:" in plain text or HTML. */
export function findErrorCode(body: string): number | undefined {
  const text = body.slice(0, 65_536).replaceAll(/<[^<>]*>/g, ' ')
  const digits = /\berror(?:\s+code)?\s*:?\s*(1\d{3}|5\d{2})\b/i.exec(text)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** Only for replies that are not from Burrow. */
export function findEdgeError(status: number, body: string): Trouble | undefined {
  const code = findErrorCode(body)
  const entry = (code === undefined ? undefined : byCode[code]) ?? byStatus[status]
  if (entry === undefined) return undefined
  const [fault, what, remedy] = entry
  return { fault, what: `${what} (${status}${code === undefined || code === status ? '' : `, error ${code}`})`, remedy }
}
