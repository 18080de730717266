/** Explains why a connector does not connect: a reason, a remedy for the operator, and the retry interval. */
import type { Pace } from '../back-off.ts'
import type { TunnelSettings } from '../settings.ts'
import type { ConnectorProblem } from './news.ts'

export interface EndDiagnosis {
  readonly state: 'backing-off' | 'failed' | 'missing-binary'
  /** `at-once`: it was ended because a new process connects sooner. */
  readonly pace: Pace | 'at-once'
  readonly reason: string
  readonly remedy: string | undefined
}

export type Wanted = Pick<TunnelSettings, 'mode' | 'protocol' | 'extraArgs'>

/** Why a running connector does not connect. */
export function explainProblem({ kind, cause }: ConnectorProblem, { mode, protocol }: Wanted): EndDiagnosis {
  switch (kind) {
    case 'unauthorized':
      return failed(
        `the edge refuses the ${mode === 'credentials' ? 'credentials' : 'token'}: ${cause}`,
        remedyOfRefusal(cause, mode),
      )
    case 'refused':
      return soon(
        `the edge refuses the connection: ${cause}`,
        'if this persists, check that the tunnel still exists in the Cloudflare dashboard, and https://www.cloudflarestatus.com',
      )
    case 'unreachable':
      return network(
        `the edge cannot be reached: ${cause}`,
        `allow outbound connections from this machine to port 7844, ${portsOf(protocol)} (region1.v2.argotunnel.com and region2.v2.argotunnel.com)`,
      )
    case 'intercepted':
      return network(
        `a TLS-inspecting proxy answers in place of the edge: ${cause}`,
        "exempt the edge from TLS inspection (region1.v2.argotunnel.com and region2.v2.argotunnel.com, port 7844): cloudflared accepts only Cloudflare's certificate",
      )
    case 'wrong-clock':
      return network(
        `the edge's certificate is not valid at this machine's time: ${cause}`,
        'check the clock of this machine (timedatectl)',
      )
    case 'closed':
      return network(
        `the edge closed the connection: ${cause}`,
        'if this persists, check whether a firewall or proxy closes connections on port 7844, and https://www.cloudflarestatus.com',
      )
    case 'dns':
      return network(
        `the edge's addresses cannot be looked up: ${cause}`,
        'check DNS on this machine: cloudflared needs the SRV records of _v2-origintunneld._tcp.argotunnel.com',
      )
    case 'quick-refused':
      return {
        state: 'backing-off',
        pace: 'later',
        reason: `Cloudflare does not provide a quick tunnel: ${cause}`,
        remedy:
          'quick tunnels are meant for testing, and their number is limited: wait, or use your own tunnel (mode "token"). This machine must be able to reach https://api.trycloudflare.com',
      }
  }
}

function portsOf(protocol: Wanted['protocol']): string {
  return protocol === 'http2' ? 'TCP' : protocol === 'quic' ? 'UDP' : 'UDP and TCP'
}

function remedyOfRefusal(cause: string, mode: Wanted['mode']): string {
  const renew =
    mode === 'credentials'
      ? 'create a new tunnel and name its credentials file'
      : 'copy the token again from the Cloudflare dashboard'
  if (/not found|failed to get tunnel/i.test(cause)) return `the tunnel no longer exists at Cloudflare: ${renew}`
  return `its secret was changed or belongs to another tunnel: ${renew}. A changed file is read at the next attempt: immediately on SIGHUP, or when no connection is left`
}

export function failed(reason: string, remedy: string | undefined): EndDiagnosis {
  return { state: 'failed', pace: 'rarely', reason, remedy }
}

/**
 * Someone must act on this machine. It is retried soon, since a retry is cheap and Burrow does not notice when a disk
 * has space again or a package has been installed.
 */
export function brokenHere(reason: string, remedy: string | undefined): EndDiagnosis {
  return { state: 'failed', pace: 'soon', reason, remedy }
}

export function soon(reason: string, remedy: string | undefined): EndDiagnosis {
  return { state: 'backing-off', pace: 'soon', reason, remedy }
}

/** The network path to the edge: reconnect soon after it is restored. */
function network(reason: string, remedy: string | undefined): EndDiagnosis {
  return { state: 'backing-off', pace: 'network', reason, remedy }
}
