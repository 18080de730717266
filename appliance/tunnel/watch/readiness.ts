/**
 * What a connector reports on its metrics listener (cloudflared's metrics/), checked: any local process might be behind
 * the port.
 *   /ready        {"status":200,"readyConnections":4,"connectorId":"<uuid>"}; status 503 with none
 *   /quicktunnel  {"hostname":"words.trycloudflare.com"}, empty when it is no quick tunnel
 *   /metrics      Prometheus' text; of interest is the number of links to the edge that serve, are dialled or wait a moment for the next dial: cloudflared_tunnel_ha_connections 4
 *   /config       {"version":-1,"config":{"ingress":[{"hostname":"cache.example.com","service":"http://127.0.0.1:8080"},{"service":"http_status:404"}]}}; -1: its own, else pushed by the edge
 */
import { isUuid } from '../explain/news.ts'
import { parsePublicName } from '../public-name.ts'

export interface Readiness {
  readonly connections: number
  readonly connectorId: string | undefined
}

export interface Ingress {
  /** Below 0: not from the edge. */
  readonly version: number
  /** As they stand in the rules, wildcards among them; at most 1000. */
  readonly hostnames: readonly string[]
}

export interface LoopbackAddress {
  readonly host: '127.0.0.1' | '::1'
  readonly port: number
}

/** cloudflared has four connections by default and can be configured to have more; a thousand is not plausible. */
const maxConnections = 1000
const maxRules = 1000
/** It writes some 40 kB. */
export const metricsBytes = 1_048_576

/** `127.0.0.1:43151`, `[::1]:43151`, `localhost:43151`; `undefined` for anything that is not loopback. */
export function parseLoopbackAddress(text: string): LoopbackAddress | undefined {
  const [, host, port] = /^(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})$/.exec(text) ?? []
  const number = Number(port)
  if (host === undefined || !(number >= 1 && number <= 65_535)) return undefined
  return { host: host === '[::1]' ? '::1' : '127.0.0.1', port: number }
}

export function parseReadiness(text: string): Readiness | undefined {
  const { readyConnections, connectorId } = parseObject(text)
  if (
    typeof readyConnections !== 'number' ||
    !Number.isInteger(readyConnections) ||
    readyConnections < 0 ||
    readyConnections > maxConnections
  )
    return undefined
  return { connections: readyConnections, connectorId: isUuid(connectorId) ? connectorId : undefined }
}

/** 0: nothing is carried, and nothing is being dialled. */
export function parseLinks(text: string): number | undefined {
  const digits = /^cloudflared_tunnel_ha_connections (\d{1,4})$/m.exec(text)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

export function parseQuickTunnel(text: string): string | undefined {
  return parsePublicName(parseObject(text).hostname)
}

export function parseIngress(text: string): Ingress | undefined {
  const { version, config } = parseObject(text)
  if (typeof version !== 'number' || !Number.isInteger(version)) return undefined
  const rules: unknown = isObject(config) ? config.ingress : undefined
  const hostnames = (Array.isArray(rules) ? rules.slice(0, maxRules) : []).map((rule: unknown) =>
    isObject(rule) ? rule.hostname : undefined,
  )
  return {
    version,
    hostnames: hostnames.filter(
      (hostname) => typeof hostname === 'string' && hostname !== '' && hostname.length <= 255,
    ) as string[],
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
