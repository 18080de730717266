/**
 * All of the connector's environment. What it inherits is named here, and nothing else is passed on: ours holds
 * passwords; NOTIFY_SOCKET would let it declare us ready, LISTEN_FDS would make it adopt our sockets, proxies and
 * foreign TUNNEL_* would change its way. Options are given as variables, since versions that do not know one ignore it,
 * while an unknown flag ends them.
 */
import type { TunnelSettings } from '../settings.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** How to find programs, the system's certificates, its time zone, and Go's own switches. */
const inherited = [
  'PATH',
  'LANG',
  'LC_ALL',
  'TZ',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'GODEBUG',
  'GOMAXPROCS',
  'GOMEMLIMIT',
] as const

export interface ConnectorEnvOptions {
  readonly env: Environment
  readonly settings: TunnelSettings
  readonly origin: string
  /** `host:port`; chosen by us, so that the port need not be read from a line of its log. */
  readonly metrics: string
  readonly token: { readonly TUNNEL_TOKEN: string } | { readonly TUNNEL_TOKEN_FILE: string } | undefined
}

export function createConnectorEnv({
  env,
  settings,
  origin,
  metrics,
  token,
}: ConnectorEnvOptions): Record<string, string> {
  const { protocol, region, edgeIpVersion, graceMs, logLevel, mode } = settings
  const own: Record<string, string> = {
    // A home directory may hold a config or a certificate of another tunnel.
    HOME: '/nonexistent',
    NO_AUTOUPDATE: 'true',
    TUNNEL_NO_PRECHECKS: 'true',
    TUNNEL_TRANSPORT_PROTOCOL: protocol,
    TUNNEL_EDGE_IP_VERSION: edgeIpVersion,
    TUNNEL_METRICS: metrics,
    // It caps the exponent of the waits, not their number: with the default of 5 it may sleep for minutes after a few
    // losses, with the edge there.
    TUNNEL_RETRIES: '1',
    TUNNEL_GRACE_PERIOD: `${Math.round(graceMs)}ms`,
    TUNNEL_LOG_OUTPUT: 'json',
    // What it says of its connections is of level info; what is quieter is left out by us.
    TUNNEL_LOGLEVEL: logLevel === 'debug' ? 'debug' : 'info',
    // Disables remote access to this machine's logs and profiles through the Cloudflare account.
    TUNNEL_MANAGEMENT_DIAGNOSTICS: 'false',
  }
  if (region !== undefined) own.TUNNEL_REGION = region
  if (mode === 'token') Object.assign(own, originVariable(origin), token)
  if (mode === 'quick') own.TUNNEL_URL = origin.startsWith('unix:') ? 'http://localhost' : origin
  const passedOn = inherited.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]))
  return { ...Object.fromEntries(passedOn), ...own }
}

function originVariable(origin: string): Record<string, string> {
  return origin.startsWith('unix:') ? { TUNNEL_UNIX_SOCKET: origin.slice('unix:'.length) } : { TUNNEL_URL: origin }
}
