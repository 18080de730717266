/** Faults of a reply that does come from Burrow: it is not ready, was cached, or was changed by a proxy. Pure. */
import { printable } from '../terminal/format.ts'
import type { Grade, Trouble } from './finding.ts'
import type { Reply } from './foreign-reply.ts'
import { encodingOf } from './reply-text.ts'

/** Burrow answered that it cannot serve this request now. */
export function findUnavailability({ status, headers }: Reply): Trouble | undefined {
  if (status === 429)
    return {
      fault: 'not-ready',
      what: 'Burrow limits requests after many failed logins (429)',
      remedy: 'wait a minute; check the log for clients that guess passwords',
    }
  if (status < 500) return undefined
  const retry = headers['retry-after'] === undefined ? '' : `, retry in ${printable(headers['retry-after'], 20)} s`
  return {
    fault: 'not-ready',
    what: `Burrow is temporarily unavailable (${status}${retry})`,
    remedy: 'run "burrow status" and check the log for the reason',
  }
}

/** Whether a private reply came from a cache between the client and Burrow, or was stored in one. */
export function findCachedCopy({ headers }: Reply): { readonly grade: Grade; readonly trouble: Trouble } | undefined {
  const state = (headers['cf-cache-status'] ?? '').trim().toUpperCase()
  const age = headers.age?.trim()
  const remedy =
    'remove the cache rule ("Cache Everything", "Eligible for cache", "Ignore origin cache-control") for this hostname, and purge its cache'
  if (['HIT', 'STALE', 'UPDATING', 'REVALIDATED', 'EXPIRED'].includes(state) || (age !== undefined && age !== '0')) {
    const how = state === '' ? `Age: ${printable(age ?? '', 20)}` : `CF-Cache-Status: ${state}`
    return {
      grade: 'fail',
      trouble: {
        fault: 'cached-private-reply',
        what: `a private reply comes from a cache on the way (${how})`,
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

/** Whether a proxy changed the reply in a way that breaks Nix clients. */
export function findAlteration({ httpVersion, headers }: Reply): Trouble | undefined {
  if (httpVersion === '1.0' || httpVersion === '0.9') {
    const remedy =
      'enable HTTP/1.1 for clients on that proxy: with older versions, downloads cannot be resumed, and an interrupted one looks complete'
    return { fault: 'http-1.0', what: `a proxy on the way uses HTTP/${httpVersion}`, remedy }
  }
  const encoding = encodingOf(headers)
  if (encoding === undefined) return undefined
  const remedy =
    'turn off compression for this hostname: it removes the length of replies, so downloads cannot be resumed'
  return {
    fault: 'altered',
    what: `a proxy on the way compresses replies (Content-Encoding: ${printable(encoding, 30)}), although Burrow sends no-transform`,
    remedy,
  }
}
