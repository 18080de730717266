/**
 * Checks whether a reply that came through the public hostname is from Burrow. Pure. Burrow's own error replies have the
 * status phrase as their body and `no-store`; its 401 has the realm "burrow".
 */
import { STATUS_CODES } from 'node:http'

import type { HttpAnswer } from '../server/http-get.ts'
import { printable } from '../terminal/format.ts'
import { findEdgeError } from './edge-errors.ts'
import type { Trouble } from './finding.ts'
import { textOf } from './reply-text.ts'

export type Reply = Pick<HttpAnswer, 'status' | 'httpVersion' | 'headers' | 'body'>

const exemption =
  'turn off "Bot Fight Mode", which rules cannot skip, and exempt this hostname from "Under Attack" mode and managed challenges: Nix cannot answer them'
export const ingressRemedy =
  'route the public hostname of the tunnel to the address that "burrow status" shows for "origin" (mode "token": in the Cloudflare dashboard, under the tunnel; mode "credentials": set "tunnel": { "hostname": … } to this name)'

/** What answered instead of Burrow; `undefined` if the reply may be from Burrow: a success, or one of its own errors. */
export function findForeignReply(reply: Reply): Trouble | undefined {
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

/** Whether this is an error reply in the form that Burrow uses. */
function isOwnRefusal({ status, headers }: Reply, text: string): boolean {
  if (status === 401) return realmOf(headers) === 'burrow'
  return status >= 400 && text === `${STATUS_CODES[status]}\n` && /\bno-store\b/.test(headers['cache-control'] ?? '')
}

function findChallenge({ status, headers }: Reply, text: string): Trouble | undefined {
  const isPage = status >= 400 && /html/i.test(headers['content-type'] ?? '')
  const isChallenge =
    /challenge/i.test(headers['cf-mitigated'] ?? '') ||
    (isPage && /just a moment|challenge-platform|_cf_chl_|cf-challenge|turnstile/i.test(text))
  return isChallenge
    ? {
        fault: 'challenge',
        what: `Cloudflare answers with a challenge page for browsers (${status})`,
        remedy: exemption,
      }
    : undefined
}

function findRedirect({ status, headers }: Reply): Trouble | undefined {
  if (status < 300 || status >= 400) return undefined
  const target = headers.location ?? ''
  const shown = `${status} to "${printable(target.replace(/[?#].*$/s, ''), 120)}"`
  if (/^https:\/\/[^/]*\.cloudflareaccess\.com(?:[/:?#]|$)|\/cdn-cgi\/access\//i.test(target)) {
    const remedy =
      'add an Access policy with the action Bypass for this hostname: Nix can send a password, but not an Access token'
    return { fault: 'redirect', what: `Cloudflare Access asks for a login (${shown})`, remedy }
  }
  if (/^http:/i.test(target))
    return {
      fault: 'redirect',
      what: `clients are redirected to plain http, without TLS (${shown})`,
      remedy: 'remove that redirect rule from the zone',
    }
  return {
    fault: 'redirect',
    what: `clients are redirected to another address (${shown})`,
    remedy: 'remove that redirect, or configure clients with its target URL',
  }
}

function findForeignLogin({ status, headers }: Reply): Trouble | undefined {
  if (status !== 401 && status !== 407) return undefined
  const challenge = headers['www-authenticate'] ?? headers['proxy-authenticate']
  const shown = challenge === undefined ? 'none' : `"${printable(challenge, 80)}"`
  return {
    fault: 'foreign-401',
    what: `another server asks for a password (${status}, challenge ${shown}, not the realm "burrow")`,
    remedy: ingressRemedy,
  }
}

function findBlock({ status, headers }: Reply): Trouble | undefined {
  if (status !== 403) return undefined
  const by = /cloudflare/i.test(headers.server ?? '') ? 'the edge' : 'a proxy on the way'
  return {
    fault: 'blocked',
    what: `${by} blocks the request (403)`,
    remedy: 'exempt this hostname from firewall (WAF) rules and Access: Burrow checks passwords itself',
  }
}

function findOther({ status, headers }: Reply): Trouble {
  const server =
    headers.server === undefined || /^cloudflare$/i.test(headers.server)
      ? ''
      : `, server "${printable(headers.server, 60)}"`
  const what = `another server answers instead of Burrow (${status}${server})`
  if (status === 404)
    return {
      fault: 'wrong-ingress',
      what: `no ingress rule of the tunnel points to Burrow, or another server answers (${status}${server})`,
      remedy: ingressRemedy,
    }
  if (status === 503)
    return {
      fault: 'wrong-ingress',
      what: `the connector has no ingress rule, or another server answers (${status}${server})`,
      remedy: ingressRemedy,
    }
  return { fault: 'wrong-ingress', what, remedy: ingressRemedy }
}

/** The realm of the first Basic challenge. */
export function realmOf(headers: Readonly<Record<string, string>>): string | undefined {
  return /\bbasic\s+[^,]*?realm="([^"]*)"/i.exec(headers['www-authenticate'] ?? '')?.[1]
}
