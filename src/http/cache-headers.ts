/**
 * What may be kept by others. Of a private cache nothing stays at the edge, whatever its rules say of file extensions;
 * `no-transform` also keeps the edge from compressing anew, which would lose Content-Length. Of a public cache the
 * operator may allow it. Names: RFC 9111, RFC 9213 (CDN-Cache-Control), Cloudflare's own
 * `Cloudflare-CDN-Cache-Control`, which overrides both there.
 */
import type { PreparedReply } from './prepared-reply.ts'
import type { RawHeaders } from './raw-headers.ts'

export type Kind = 'immutable' | 'found' | 'missed'

export interface CacheHeaders {
  /** For NARs, whose bytes never change. */
  readonly immutable: RawHeaders
  /** For what changes with the store: narinfos, listings, logs. */
  readonly found: RawHeaders
  /** For everything that is not a success. */
  readonly missed: RawHeaders
  /** Replies rendered with these headers, by what they were made from; they go when it goes. */
  readonly prepared: WeakMap<object, PreparedReply>
}

const notAtTheEdge = ['CDN-Cache-Control', 'no-store', 'Cloudflare-CDN-Cache-Control', 'no-store']
const missed = ['Cache-Control', 'no-store', ...notAtTheEdge]

export function createCacheHeaders(isPublic: boolean, edgeCache: 'allow' | 'deny'): CacheHeaders {
  if (!isPublic) {
    const found = ['Cache-Control', 'private, no-transform', ...notAtTheEdge]
    return { immutable: found, found, missed, prepared: new WeakMap() }
  }
  const edge = edgeCache === 'allow' ? [] : notAtTheEdge
  return {
    immutable: ['Cache-Control', 'public, max-age=2592000, immutable, no-transform', ...edge],
    // A garbage-collected path must not be promised for long.
    found: ['Cache-Control', 'public, max-age=60, no-transform', ...edge],
    missed,
    prepared: new WeakMap(),
  }
}
