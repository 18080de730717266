/**
 * The few of cloudflared's lines that mean something to its supervisor. Whether it is connected is never read here:
 * that is asked of its `/ready`; a line only says that asking now is worth it, and why something fails.
 * Source: cloudflared's supervisor/, connection/, metrics/, cmd/cloudflared/tunnel/quick_tunnel.go.
 */
import type { ConnectorLine } from '../watch/log-lines.ts'
import { toPlainText } from './plain-text.ts'

/** Why the edge cannot be reached or refuses the connection; `cause` is cloudflared's own text. */
export interface ConnectorProblem {
  readonly kind: /** The edge refuses the login, for ever: secret wrong or rotated, tunnel deleted. */
    | 'unauthorized'
    /** It refuses the connection for another reason. */
    | 'refused'
    /** No connection to the edge can be established. */
    | 'unreachable'
    /** A TLS-inspecting proxy answers in place of the edge. */
    | 'intercepted'
    /** The edge's certificate is not valid at the local time. */
    | 'wrong-clock'
    /** It was there, and closed the connection before it was registered, or later. */
    | 'closed'
    | 'dns'
    /** The service that hands out quick tunnels refuses or is away. */
    | 'quick-refused'
  readonly cause: string
}

export type News =
  | ConnectorProblem
  | { readonly kind: 'metrics'; readonly address: string }
  | { readonly kind: 'registered' }
  /** A connection was lost, or one is tried again. */
  | { readonly kind: 'moved' }
  | { readonly kind: 'new-config' }
  | { readonly kind: 'tunnel-id'; readonly tunnelId: string }
  | { readonly kind: 'updated' }
  /** It received a signal, named as in Go: `terminated`, `interrupt`. */
  | { readonly kind: 'signalled'; readonly signal: string }

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && uuid.test(value)
}

/**
 * Matches raw lines that must be kept when lines are dropped. Lines about a problem are not among them: cloudflared
 * repeats them.
 */
export const decisive =
  /Starting metrics server on|Registered tunnel connection|Unauthorized: |Updated to new configuration|Starting tunnel|has been updated|due to signal/

const unreachable = /^(?:Unable to establish connection with Cloudflare edge|Failed to dial a quic connection)/
const dialFault = /^(?:DialContext error|TLS handshake with edge error|failed to dial to edge)/
/** Go's crypto/x509. */
const interception =
  /x509: (?:certificate signed by unknown authority|certificate is (?:not )?valid for|cannot validate certificate|certificate is not trusted)/
/**
 * What the RPC of a registration says when the connection goes under it, or nothing comes in its time: no answer of the
 * edge's.
 */
const unanswered = /^(?:rpc: connection closed|context deadline exceeded|EOF)/
const wrongTime = /x509: certificate has expired or is not yet valid/
const dnsFault = /Could not lookup srv records|edge discovery: error looking up|DNS query failed/
const quickFault =
  /failed to request quick Tunnel|failed to read quick-tunnel response|failed to unmarshal quick Tunnel|Error unmarshaling QuickTunnel response/
const moved =
  /^(?:Lost connection with the edge|Connection terminated|Retrying connection|Unregistered tunnel connection|Serve tunnel error)/

/** `undefined`: nothing to act on. */
export function findNews(line: ConnectorLine): News | undefined {
  const { message, error } = line
  const address = /^Starting metrics server on ([^/]+)\/metrics/.exec(message)?.[1]
  if (address !== undefined) return { kind: 'metrics', address }
  if (message.startsWith('Registered tunnel connection')) return { kind: 'registered' }
  if (message.startsWith('Updated to new configuration')) return { kind: 'new-config' }
  const signal = /^Initiating graceful shutdown due to signal (\w+)/.exec(message)?.[1]
  if (signal !== undefined) return { kind: 'signalled', signal }
  if (message.startsWith('cloudflared has been updated')) return { kind: 'updated' }
  if (message.startsWith('Starting tunnel'))
    return isUuid(line.fields.tunnelID) ? { kind: 'tunnel-id', tunnelId: line.fields.tunnelID } : undefined
  return (
    findProblem(line) ??
    (moved.test(message) || error.startsWith('already connected to this server') ? { kind: 'moved' } : undefined)
  )
}

function findProblem({ message, error, isBare, fields }: ConnectorLine): ConnectorProblem | undefined {
  const told = isBare ? message : error
  // At its beginning: a path that a stranger asks for stands further back in a line.
  if (/^Unauthorized: /.test(told)) return { kind: 'unauthorized', cause: toPlainText(told) }
  if (message.startsWith('Register tunnel error from server side'))
    return { kind: unanswered.test(error) ? 'closed' : 'refused', cause: toPlainText(error) }
  if (told === 'connection with edge closed')
    return message === 'Connection terminated' ? undefined : { kind: 'closed', cause: told }
  if (unreachable.test(message) || dialFault.test(error))
    return explainDial(toPlainText(error === '' ? message : error))
  if (quickFault.test(message)) {
    const status = typeof fields.status_code === 'string' ? ` (${fields.status_code})` : ''
    return { kind: 'quick-refused', cause: toPlainText(`${message}${status}`) }
  }
  if (dnsFault.test(message) || dnsFault.test(error))
    return { kind: 'dns', cause: toPlainText(dnsFault.test(error) ? error : message) }
  return undefined
}

/** Why a dial failed; `cause` in the connector's words. */
export function explainDial(cause: string): ConnectorProblem {
  return {
    kind: interception.test(cause) ? 'intercepted' : wrongTime.test(cause) ? 'wrong-clock' : 'unreachable',
    cause,
  }
}
