/**
 * What is wanted of the tunnel: how the connector logs in at the edge, and the few options of cloudflared that matter
 * to an origin like this one. Names follow cloudflared's flags (developers.cloudflare.com, "Tunnel run parameters").
 */

export type TunnelMode = 'quick' | 'token' | 'credentials'

export interface TunnelSettings {
  /**
   * `quick`: a TryCloudflare tunnel, without an account, under a random name. `token`: a tunnel whose public hostnames
   * are kept at Cloudflare. `credentials`: a tunnel whose ingress rules are ours, written by us.
   */
  readonly mode: TunnelMode
  readonly secret: TunnelSecret
  /** Only where a cloudflared can be found; without one there is no tunnel, and none is looked for. */
  readonly isOptional: boolean
  /** The public hostname; always known with credentials, perhaps with a token, never beforehand with a quick tunnel. */
  readonly hostname: string | undefined
  readonly protocol: 'http2' | 'quic' | 'auto'
  /** `undefined`: anywhere in the world. */
  readonly region: 'us' | undefined
  readonly edgeIpVersion: 'auto' | '4' | '6'
  /** How long active requests may continue after the connector was asked to stop; at most 180,000. */
  readonly graceMs: number
  /** The least of cloudflared's lines that go into our log. */
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error'
  /** Connections to the edge; `undefined`: cloudflared's own number. */
  readonly haConnections: number | undefined
  /** Further flags of `cloudflared tunnel`, given before `run`, as they stand. */
  readonly extraArgs: readonly string[]
  /** An absolute path, instead of looking on PATH. */
  readonly binary: string | undefined
}

/**
 * Files are absolute paths, read again at each start of a connector, so that a changed token needs no restart of the
 * rest.
 */
export type TunnelSecret =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'token-file'; readonly file: string }
  | { readonly kind: 'credentials-file'; readonly file: string }
