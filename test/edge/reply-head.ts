/**
 * The head of a reply: status and header lines in their order, one entry a value. The connector sends all of the
 * origin's header in one field,
 *
 *   cf-cloudflared-response-headers: base64(name):base64(value);base64(name):base64(value)      without padding
 *
 * and says in cf-cloudflared-response-meta who made the reply: {"src":"origin"} or {"src":"cloudflared"}. Source:
 * cloudflared's connection/header.go.
 */
import type { IncomingHttpHeaders } from 'node:http2'

export type HeaderLines = readonly (readonly [name: string, value: string])[]

export interface ReplyHead {
  readonly status: number
  readonly headers: HeaderLines
}

export interface ConnectorReplyHead extends ReplyHead {
  readonly source: 'origin' | 'cloudflared' | undefined
}

/** Of the origin's connection to the connector, no business of an eyeball's. */
const hopByHop = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'proxy-connection', 'trailer'])

export function readConnectorReply(headers: IncomingHttpHeaders): ConnectorReplyHead {
  const lines = decodeHeaderLines(String(headers['cf-cloudflared-response-headers'] ?? '')).filter(
    ([name]) => !hopByHop.has(name.toLowerCase()),
  )
  const contentLength = headers['content-length']
  if (contentLength !== undefined && find(lines, 'content-length') === undefined)
    lines.push(['Content-Length', contentLength])
  return {
    status: Number(headers[':status']),
    headers: lines,
    source: readSource(headers['cf-cloudflared-response-meta']),
  }
}

function readSource(meta: string | string[] | undefined): 'origin' | 'cloudflared' | undefined {
  try {
    const { src } = JSON.parse(String(meta)) as { src?: unknown }
    return src === 'origin' || src === 'cloudflared' ? src : undefined
  } catch {
    return undefined
  }
}

export function decodeHeaderLines(blob: string): [string, string][] {
  const decode = (text: string | undefined) => Buffer.from(text ?? '', 'base64').toString('latin1')
  return blob
    .split(';')
    .filter((pair) => pair.includes(':'))
    .map((pair) => {
      const [name, value] = pair.split(':')
      return [decode(name), decode(value)]
    })
}

export function encodeHeaderLines(lines: HeaderLines): string {
  const encode = (text: string) => Buffer.from(text, 'latin1').toString('base64').replaceAll('=', '')
  return lines.map(([name, value]) => `${encode(name)}:${encode(value)}`).join(';')
}

/** All values of a header, joined as a list; `undefined` when it is absent. */
export function find(headers: HeaderLines, name: string): string | undefined {
  const values = headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value)
  return values.length === 0 ? undefined : values.join(', ')
}

export function without(headers: HeaderLines, ...names: string[]): HeaderLines {
  return headers.filter(([name]) => !names.includes(name.toLowerCase()))
}

/** With this one value of the header, and no other. */
export function withHeader(headers: HeaderLines, name: string, value: string): HeaderLines {
  return [...without(headers, name.toLowerCase()), [name, value]]
}
