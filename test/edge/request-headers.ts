/**
 * The header of an eyeball's request as the connector gets it: what concerns the eyeball's connection is gone, what the
 * edge vouches for is the edge's own. Source: https://developers.cloudflare.com/fundamentals/reference/http-headers/
 */
import type { IncomingMessage } from 'node:http'
import type { OutgoingHttpHeaders } from 'node:http2'

export interface EdgeRequest {
  readonly method: string
  /** Raw path and query, not normalised. */
  readonly path: string
  readonly authority: string
  readonly ray: string
  readonly address: string
  readonly country: string
}

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'trailer',
  'upgrade',
  'http2-settings',
  'expect',
])
/** Access' own service tokens are for Access, and pass where there is none. All other CF-* is the edge's to say. */
const passedCf = new Set(['cf-access-client-id', 'cf-access-client-secret'])
const edgeOnly = new Set(['host', 'accept-encoding', 'cdn-loop', 'x-forwarded-proto', 'true-client-ip'])

export function toConnectorHeaders(
  request: IncomingMessage,
  { method, path, authority, ray, address, country }: EdgeRequest,
): OutgoingHttpHeaders {
  const named = new Set((request.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()))
  const headers: OutgoingHttpHeaders = { ':method': method, ':scheme': 'https', ':authority': authority, ':path': path }
  for (const [name, value] of Object.entries(request.headers)) {
    const isForged = name.startsWith('cf-') && !passedCf.has(name)
    if (value === undefined || isForged || named.has(name) || hopByHop.has(name) || edgeOnly.has(name)) continue
    headers[name] = value
  }
  const forwardedFor = request.headers['x-forwarded-for']
  headers['x-forwarded-for'] = forwardedFor ? `${String(forwardedFor)},${address}` : address
  headers['x-forwarded-proto'] = 'https'
  headers['accept-encoding'] = 'gzip, br'
  headers['cdn-loop'] = 'cloudflare; loops=1'
  headers['cf-connecting-ip'] = address
  headers['cf-ipcountry'] = country
  headers['cf-ray'] = ray
  headers['cf-visitor'] = '{"scheme":"https"}'
  return headers
}

/** The path of a request target: as it came, or of an absolute URL the part after the authority. */
export function pathOf(target: string): string {
  const absolute = /^https?:\/\/[^/?#]*/i.exec(target)
  const rest = absolute ? target.slice(absolute[0].length) : target
  return rest.startsWith('/') ? rest : `/${rest}`
}
