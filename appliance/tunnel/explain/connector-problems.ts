/** What a connector complains of, in words for whoever must mend it; and how long to leave it alone. */
import type { Pace } from '../back-off.ts'
import type { TunnelSettings } from '../settings.ts'
import type { ConnectorProblem } from './news.ts'

export interface EndDiagnosis {
  readonly state: 'backing-off' | 'failed' | 'missing-binary'
  /** `at-once`: it was ended because a new one is sooner there. */
  readonly pace: Pace | 'at-once'
  readonly reason: string
  readonly remedy: string | undefined
}

export type Wanted = Pick<TunnelSettings, 'mode' | 'protocol' | 'extraArgs'>

/** What is behind a connector that does not connect. */
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
        'if this goes on: see whether the tunnel still exists at Cloudflare, and https://www.cloudflarestatus.com',
      )
    case 'unreachable':
      return network(
        `the edge cannot be reached: ${cause}`,
        `let this machine reach the Internet on port 7844, outbound, ${portsOf(protocol)} (region1.v2.argotunnel.com and region2.v2.argotunnel.com)`,
      )
    case 'intercepted':
      return network(
        `something on the way opens TLS and answers in the edge's place: ${cause}`,
        "exempt the edge from TLS inspection (region1.v2.argotunnel.com and region2.v2.argotunnel.com, port 7844): it accepts no other certificate than Cloudflare's",
      )
    case 'wrong-clock':
      return network(
        `the edge's certificate is of another time: ${cause}`,
        'see that the clock of this machine is right (timedatectl)',
      )
    case 'closed':
      return network(
        `the edge closed the connection: ${cause}`,
        'if this goes on: see whether a firewall or proxy on the way cuts connections on port 7844, and https://www.cloudflarestatus.com',
      )
    case 'dns':
      return network(
        `the edge's addresses cannot be looked up: ${cause}`,
        'see that this machine resolves names: it needs the SRV records of _v2-origintunneld._tcp.argotunnel.com',
      )
    case 'quick-refused':
      return {
        state: 'backing-off',
        pace: 'later',
        reason: `Cloudflare gives no quick tunnel: ${cause}`,
        remedy:
          'quick tunnels are a demonstration and rationed: wait, or use a tunnel of your own (mode "token"); this machine must reach https://api.trycloudflare.com',
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
  if (/not found|failed to get tunnel/i.test(cause)) return `the tunnel does not exist any more at Cloudflare: ${renew}`
  return `its secret was changed, or is another tunnel's: ${renew}; a changed file is read at the next attempt: now by SIGHUP, or as soon as no connection is left`
}

export function failed(reason: string, remedy: string | undefined): EndDiagnosis {
  return { state: 'failed', pace: 'rarely', reason, remedy }
}

/**
 * Somebody must act, on this machine: looking again costs nobody anything, and a disk may have room again, a package be
 * unpacked, without anybody's telling us.
 */
export function brokenHere(reason: string, remedy: string | undefined): EndDiagnosis {
  return { state: 'failed', pace: 'soon', reason, remedy }
}

export function soon(reason: string, remedy: string | undefined): EndDiagnosis {
  return { state: 'backing-off', pace: 'soon', reason, remedy }
}

/** The way to the edge: when it comes back, so must we. */
function network(reason: string, remedy: string | undefined): EndDiagnosis {
  return { state: 'backing-off', pace: 'network', reason, remedy }
}
