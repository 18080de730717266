/**
 * The connector's own config file. It is always given, since cloudflared would otherwise look for one in the home
 * directory and in /etc, and an `ingress` found there wins over everything on the command line. JSON is YAML. Keys are
 * cloudflared's: developers.cloudflare.com, "Configuration file" and "Origin configuration".
 *
 *   { "tunnel": UUID, "credentials-file": "/path", "ingress": [{ "hostname": "cache.example.org", "service":
 * "unix:/run/burrow.sock" }, { "service": "http_status:404" }] }
 */
import type { TunnelSettings } from '../settings.ts'

export interface ConnectorConfigOptions {
  readonly settings: TunnelSettings
  /** `http://127.0.0.1:8080` or `unix:/path`. */
  readonly origin: string
  readonly credentials: { readonly tunnelId: string; readonly file: string } | undefined
}

/**
 * The origin keeps idle connections for 120 s, cloudflared for 90: cloudflared must close first, or a
 * request meets a closing connection and becomes a 502. A loopback connection is there at once or not at all.
 */
const originRequest = { connectTimeout: '5s', keepAliveTimeout: '90s', keepAliveConnections: 256 } as const

export function formatConnectorConfig({ settings, origin, credentials }: ConnectorConfigOptions): string {
  const { haConnections } = settings
  const login = credentials === undefined ? {} : { tunnel: credentials.tunnelId, 'credentials-file': credentials.file }
  const ingress = ingressOf(settings, origin)
  // A hidden flag of cloudflared: as a key of its config file it is ignored by versions that do not know it.
  const connections = haConnections === undefined ? {} : { 'ha-connections': haConnections }
  return `${JSON.stringify({ ...login, ...connections, originRequest, ...ingress }, null, 2)}\n`
}

/** Rules of our own; elsewhere the edge sends them, or the origin is named in the environment. */
function ingressOf({ mode, hostname }: TunnelSettings, origin: string): object {
  if (mode === 'credentials') return { ingress: [{ hostname, service: origin }, { service: 'http_status:404' }] }
  // A quick tunnel is begun by a URL alone, which cannot name a unix socket; a rule wins over the URL.
  if (mode === 'quick' && origin.startsWith('unix:')) return { ingress: [{ service: origin }] }
  return {}
}
