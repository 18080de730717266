/**
 * The caching headers of replies. The edge stores nothing of a private cache, whatever its rules for file extensions
 * say; for a public cache the operator can allow it. `no-transform` also prevents the edge from compressing a reply,
 * which would remove Content-Length. Sources: RFC 9111, RFC 9213 (CDN-Cache-Control), and Cloudflare's own
 * `Cloudflare-CDN-Cache-Control`, which overrides both at its edge.
 */
import type { PreparedReply } from './prepared-reply.ts'
import type { RawHeaders } from './raw-headers.ts'

export type Kind = 'immutable' | 'found' | 'missed' | 'asset'

export interface CacheHeaders {
  /** For NARs, whose bytes never change. */
  readonly immutable: RawHeaders
  /** For replies that change with the store: narinfos, listings, logs. */
  readonly found: RawHeaders
  /** For every reply that is not a success, and for pages that change with each request. */
  readonly missed: RawHeaders
  /** For the stylesheet and the script of pages, whose URLs name their contents. */
  readonly asset: RawHeaders
  /** Replies rendered with these headers, by the object they were made from, and kept as long as that object. */
  readonly prepared: WeakMap<object, PreparedReply>
}

const notAtEdge = ['CDN-Cache-Control', 'no-store', 'Cloudflare-CDN-Cache-Control', 'no-store']
const missed = ['Cache-Control', 'no-store', ...notAtEdge]
/** Browsers alone keep them: an edge would go on serving them when the cache is gone. */
const asset = ['Cache-Control', 'private, max-age=31536000, immutable, no-transform', ...notAtEdge]

export function createCacheHeaders(isPublic: boolean, edgeCache: 'allow' | 'deny'): CacheHeaders {
  if (!isPublic) {
    const found = ['Cache-Control', 'private, no-transform', ...notAtEdge]
    return { immutable: found, found, missed, asset, prepared: new WeakMap() }
  }
  const edge = edgeCache === 'allow' ? [] : notAtEdge
  return {
    immutable: ['Cache-Control', 'public, max-age=2592000, immutable, no-transform', ...edge],
    // The path may be garbage-collected at any time.
    found: ['Cache-Control', 'public, max-age=60, no-transform', ...edge],
    missed,
    asset,
    prepared: new WeakMap(),
  }
}
