/**
 * What a reply through the public host name says of the way there. Pure. First the question whether it is Burrow that
 * answered at all; Burrow's refusals carry the status phrase alone, `no-store`, and on a 401 the realm "burrow".
 */
import { STATUS_CODES } from 'node:http'

import type { HttpAnswer, HttpFailure } from '../server/http-get.ts'
import { printable } from '../terminal/format.ts'
import { findEdgeError } from './edge-errors.ts'
import type { Grade, Trouble } from './finding.ts'
import { encodingOf, textOf } from './reply-text.ts'

export type Reply = Pick<HttpAnswer, 'status' | 'httpVersion' | 'headers' | 'body'>

const exemption =
  'turn "Bot Fight Mode" off, which no rule can skip, and exempt this host name from "Under Attack" mode and managed challenges: Nix cannot answer them'
const ingressRemedy =
  'let the public hostname of the tunnel lead to the address of "origin" in "burrow status" (mode "token": at Cloudflare, under the tunnel; mode "credentials": set "tunnel": { "hostname": … } to this name)'

/**
 * Who or what answered instead of Burrow; `undefined` when it may have been Burrow: a success, or a refusal in its own
 * form.
 */
export function findStranger(reply: Reply): Trouble | undefined {
  const { status } = reply
  const text = textOf(reply)
  return (
    findChallenge(reply, text) ??
    findRedirect(reply) ??
    (status < 300 || isOwnRefusal(reply, text)
      ? undefined
      : (findForeignLogin(reply) ?? findEdgeError(status, text) ?? findBlock(reply) ?? findOther(reply)))
  )
}

/** Whether Burrow itself says no, in its one form. */
export function isOwnRefusal({ status, headers }: Reply, text: string): boolean {
  if (status === 401) return realmOf(headers) === 'burrow'
  return status >= 400 && text === `${STATUS_CODES[status]}\n` && /\bno-store\b/.test(headers['cache-control'] ?? '')
}

function findChallenge({ status, headers }: Reply, text: string): Trouble | undefined {
  const isPage = status >= 400 && /html/i.test(headers['content-type'] ?? '')
  const isChallenge =
    /challenge/i.test(headers['cf-mitigated'] ?? '') ||
    (isPage && /just a moment|challenge-platform|_cf_chl_|cf-challenge|turnstile/i.test(text))
  return isChallenge
    ? { fault: 'challenge', what: `a challenge page for browsers stands in the way (${status})`, remedy: exemption }
    : undefined
}

function findRedirect({ status, headers }: Reply): Trouble | undefined {
  if (status < 300 || status >= 400) return undefined
  const target = headers.location ?? ''
  const shown = `${status} to "${printable(target.replace(/[?#].*$/s, ''), 120)}"`
  if (/^https:\/\/[^/]*\.cloudflareaccess\.com(?:[/:?#]|$)|\/cdn-cgi\/access\//i.test(target)) {
    const remedy = 'let an Access policy bypass this host name: Nix can send a password, and no Access token'
    return { fault: 'redirect', what: `Cloudflare Access asks for a login first (${shown})`, remedy }
  }
  if (/^http:/i.test(target))
    return {
      fault: 'redirect',
      what: `clients are sent on to plain http, without TLS (${shown})`,
      remedy: 'remove that redirect rule from the zone',
    }
  return {
    fault: 'redirect',
    what: `clients are sent elsewhere (${shown})`,
    remedy: 'remove that redirect, or give clients the URL it leads to',
  }
}

function findForeignLogin({ status, headers }: Reply): Trouble | undefined {
  if (status !== 401 && status !== 407) return undefined
  const challenge = headers['www-authenticate'] ?? headers['proxy-authenticate']
  const shown = challenge === undefined ? 'none' : `"${printable(challenge, 80)}"`
  return {
    fault: 'foreign-401',
    what: `somebody else asks for a password (${status}, challenge ${shown}, not the realm "burrow")`,
    remedy: ingressRemedy,
  }
}

function findBlock({ status, headers }: Reply): Trouble | undefined {
  if (status !== 403) return undefined
  const by = /cloudflare/i.test(headers.server ?? '') ? 'the edge' : 'somebody on the way'
  return {
    fault: 'blocked',
    what: `${by} forbids the request (403)`,
    remedy: 'exempt this host name from firewall (WAF) rules and Access: Burrow asks for passwords itself',
  }
}

function findOther({ status, headers }: Reply): Trouble {
  const server =
    headers.server === undefined || /^cloudflare$/i.test(headers.server)
      ? ''
      : `, by "${printable(headers.server, 60)}"`
  const what = `not Burrow answers, but something else (${status}${server})`
  if (status === 404)
    return {
      fault: 'wrong-ingress',
      what: `no ingress rule of the tunnel leads here, or something else answers (${status}${server})`,
      remedy: ingressRemedy,
    }
  if (status === 503)
    return {
      fault: 'wrong-ingress',
      what: `the connector has no ingress rule, or something else answers (${status}${server})`,
      remedy: ingressRemedy,
    }
  return { fault: 'wrong-ingress', what, remedy: ingressRemedy }
}

/** Of the first Basic challenge. */
export function realmOf(headers: Readonly<Record<string, string>>): string | undefined {
  return /\bbasic\s+[^,]*?realm="([^"]*)"/i.exec(headers['www-authenticate'] ?? '')?.[1]
}

/** Burrow's own "not now". */
export function findPostponement({ status, headers }: Reply): Trouble | undefined {
  if (status === 429)
    return {
      fault: 'not-ready',
      what: 'Burrow answers slowly after many failed logins (429)',
      remedy: 'wait a minute; look in the log for who guesses passwords',
    }
  if (status < 500) return undefined
  const retry = headers['retry-after'] === undefined ? '' : `, try again in ${printable(headers['retry-after'], 20)} s`
  return {
    fault: 'not-ready',
    what: `Burrow cannot answer at present (${status}${retry})`,
    remedy: 'see "burrow status" and the log for the reason',
  }
}

/** Whether a private reply came from a cache on the way, or was put into one. */
export function findCachedCopy({ headers }: Reply): { readonly grade: Grade; readonly trouble: Trouble } | undefined {
  const state = (headers['cf-cache-status'] ?? '').trim().toUpperCase()
  const age = headers.age?.trim()
  const remedy =
    'remove the cache rule ("Cache Everything", "Eligible for cache", "Ignore origin cache-control") for this host name, and purge its cache'
  if (['HIT', 'STALE', 'UPDATING', 'REVALIDATED', 'EXPIRED'].includes(state) || (age !== undefined && age !== '0')) {
    const how = state === '' ? `Age: ${printable(age ?? '', 20)}` : `CF-Cache-Status: ${state}`
    return {
      grade: 'fail',
      trouble: {
        fault: 'cached-private-reply',
        what: `a private reply is kept in a cache on the way (${how})`,
        remedy,
      },
    }
  }
  if (state !== 'MISS') return undefined
  return {
    grade: 'warn',
    trouble: {
      fault: 'cached-private-reply',
      what: 'the edge looks for private replies in its cache (CF-Cache-Status: MISS)',
      remedy,
    },
  }
}

/** What the way does to replies that Nix needs as they are. */
export function findAlteration({ httpVersion, headers }: Reply): Trouble | undefined {
  if (httpVersion === '1.0' || httpVersion === '0.9') {
    const remedy =
      'let the proxy in between speak HTTP/1.1 to its clients: downloads cannot be resumed, and a cut one looks complete'
    return { fault: 'http-1.0', what: `something on the way speaks HTTP/${httpVersion}`, remedy }
  }
  const encoding = encodingOf(headers)
  if (encoding === undefined) return undefined
  const remedy =
    'switch compression off for this host name: it takes the length from replies, and downloads can no longer be resumed'
  return {
    fault: 'altered',
    what: `replies are compressed on the way (Content-Encoding: ${printable(encoding, 30)}) although Burrow forbids it`,
    remedy,
  }
}

const tlsCodes =
  /^(?:ERR_TLS|ERR_SSL|CERT_|EPROTO|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|ERR_OSSL|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH)/

/** Nothing came back. */
export function toTrouble({ code, message }: HttpFailure, host: string): Trouble {
  const reason = printable(message, 160)
  if (code === 'ENOTFOUND')
    return {
      fault: 'dns',
      what: `DNS does not know "${host}"`,
      remedy:
        'add a public hostname to the tunnel ("cloudflared tunnel route dns"), or correct the name; a new quick tunnel needs a minute',
    }
  if (code.startsWith('EAI_'))
    return {
      fault: 'dns',
      what: `DNS gives no answer for "${host}" (${code})`,
      remedy: 'see that this machine can resolve names',
    }
  if (code === 'TIMEOUT')
    return {
      fault: 'timeout',
      what: `"${host}" does not answer in time: ${reason}`,
      remedy: 'look at the tunnel, the load of the machine and the log',
    }
  if (tlsCodes.test(code))
    return {
      fault: 'tls',
      what: `no trusted TLS connection to "${host}" (${printable(code, 60)}: ${reason})`,
      remedy:
        'wait for the certificate of a new host name; a name two levels below the zone (a.b.example.org) needs a certificate of its own; see that nothing intercepts TLS',
    }
  if (code.startsWith('HPE_') || code === 'UPGRADE')
    return {
      fault: 'wrong-ingress',
      what: `"${host}" answers, and not in HTTP (${printable(code, 60)})`,
      remedy: ingressRemedy,
    }
  return {
    fault: 'unreachable',
    what: `cannot reach "${host}" (${printable(code, 60)}: ${reason})`,
    remedy: 'see that this machine reaches the Internet, and that no firewall is in the way',
  }
}
