/**
 * What an edge says by itself, without having reached an origin. Clients that are no browsers get `error code: 1033` as
 * the whole body, others a page that says the same. Source:
 * https://developers.cloudflare.com/support/troubleshooting/http-status-codes/ (5xx, and 1xxx errors).
 */
import type { FaultName, Trouble } from './finding.ts'

type Entry = readonly [fault: FaultName, what: string, remedy: string]

const pointElsewhere =
  'point the DNS record of this name at the tunnel (CNAME to TUNNEL-ID.cfargotunnel.com, proxied), not at a server'
const lookAtServer =
  'see that "burrow serve" runs ("burrow status") and that its tunnel is connected; it may take a minute after its start'

const byCode: Readonly<Record<number, Entry>> = {
  1000: ['not-routed', 'its DNS record points at an address of Cloudflare itself', pointElsewhere],
  1001: ['not-routed', 'the edge does not know the name', pointElsewhere],
  1010: [
    'blocked',
    'the edge refuses this kind of client (browser integrity check)',
    'switch the browser integrity check off for this host name',
  ],
  1015: [
    'rate-limit',
    'a rate limiting rule of the zone holds clients back',
    'exempt this host name from rate limiting rules: a closure is thousands of requests',
  ],
  1016: ['not-routed', 'its DNS record leads to a tunnel or a name that does not exist', pointElsewhere],
  1020: [
    'blocked',
    'a firewall rule of the zone refuses this client',
    'exempt this host name from firewall (WAF) rules: Burrow asks for passwords itself',
  ],
  1033: ['not-routed', 'the edge has no connector for its tunnel', lookAtServer],
}

const byStatus: Readonly<Record<number, Entry>> = {
  413: [
    'body-limit',
    'the edge refuses the size of the request',
    'send nothing over the limit of the plan in one request through this host name (100 MB on Free and Pro, 200 MB on Business): use "burrow push" instead of "nix copy"',
  ],
  502: [
    'origin-unreachable',
    'the connector of the tunnel cannot reach Burrow',
    'see that the service of the tunnel\'s public hostname is the address of "origin" in "burrow status", by http and not https',
  ],
  504: ['timeout', 'a gateway on the way waited in vain for Burrow', 'look at the load of the machine, and at the log'],
  520: [
    'edge-error',
    'the edge got an answer that it does not understand',
    'look at the log of Burrow; it may have been stopped in the middle of an answer',
  ],
  521: ['wrong-ingress', 'the edge connects to a server instead of the tunnel, and is refused', pointElsewhere],
  522: ['wrong-ingress', 'the edge connects to a server instead of the tunnel, in vain', pointElsewhere],
  523: ['wrong-ingress', 'the edge connects to a server instead of the tunnel, and finds no way', pointElsewhere],
  524: [
    'timeout',
    'the edge got no answer from Burrow within 120 s',
    'look at the load of the machine, at the log, and at "limits.firstByteSeconds", which must stay well below 120',
  ],
  525: [
    'wrong-ingress',
    'the edge connects to a server instead of the tunnel, and their TLS handshake fails',
    pointElsewhere,
  ],
  526: [
    'wrong-ingress',
    'the edge connects to a server instead of the tunnel, whose certificate is invalid',
    pointElsewhere,
  ],
  530: ['not-routed', 'the edge cannot reach the tunnel', lookAtServer],
}

/** The number behind "error code:", in plain text or a page. */
export function findErrorCode(body: string): number | undefined {
  const text = body.slice(0, 65_536).replaceAll(/<[^<>]*>/g, ' ')
  const digits = /\berror(?:\s+code)?\s*:?\s*(1\d{3}|5\d{2})\b/i.exec(text)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** Of a reply that is not Burrow's own. */
export function findEdgeError(status: number, body: string): Trouble | undefined {
  const code = findErrorCode(body)
  const entry = (code === undefined ? undefined : byCode[code]) ?? byStatus[status]
  if (entry === undefined) return undefined
  const [fault, what, remedy] = entry
  return { fault, what: `${what} (${status}${code === undefined || code === status ? '' : `, error ${code}`})`, remedy }
}
