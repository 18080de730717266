/** Explains why a request to the public hostname got no reply. Pure. */
import type { HttpFailure } from '../server/http-get.ts'
import { printable } from '../terminal/format.ts'
import type { Trouble } from './finding.ts'
import { ingressRemedy } from './foreign-reply.ts'

const tlsCodes =
  /^(?:ERR_TLS|ERR_SSL|CERT_|EPROTO|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|ERR_OSSL|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH)/

export function toConnectionTrouble({ code, message }: HttpFailure, host: string): Trouble {
  const reason = printable(message, 160)
  if (code === 'ENOTFOUND')
    return {
      fault: 'dns',
      what: `DNS has no record for "${host}"`,
      remedy:
        'add a public hostname to the tunnel ("cloudflared tunnel route dns"), or correct the name; the name of a new quick tunnel takes a minute to appear',
    }
  if (code.startsWith('EAI_'))
    return {
      fault: 'dns',
      what: `the DNS lookup for "${host}" failed (${code})`,
      remedy: 'check DNS on this machine',
    }
  if (code === 'TIMEOUT')
    return {
      fault: 'timeout',
      what: `"${host}" does not answer in time: ${reason}`,
      remedy: 'check the tunnel, the load of this machine and the log',
    }
  if (tlsCodes.test(code))
    return {
      fault: 'tls',
      what: `no trusted TLS connection to "${host}" (${printable(code, 60)}: ${reason})`,
      remedy:
        'wait for the certificate of a new hostname; a name two levels below the zone (a.b.example.org) needs its own certificate; check that no proxy intercepts TLS',
    }
  if (code.startsWith('HPE_') || code === 'UPGRADE')
    return {
      fault: 'wrong-ingress',
      what: `"${host}" answers, but not with HTTP (${printable(code, 60)})`,
      remedy: ingressRemedy,
    }
  return {
    fault: 'unreachable',
    what: `cannot reach "${host}" (${printable(code, 60)}: ${reason})`,
    remedy: 'check that this machine has Internet access and that no firewall blocks the connection',
  }
}
