/**
 * Conditional requests (RFC 9110, section 13) with a strong entity tag. NARs have no modification date.
 */
import type { IncomingHttpHeaders } from 'node:http'

/** 304 or 412 if the request's conditions require it, else undefined. */
export function statusByConditions(headers: IncomingHttpHeaders, etag: string): 304 | 412 | undefined {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = headers
  if (ifMatch !== undefined && !matches(ifMatch, etag, false)) return 412
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, etag, true)) return 304
  return undefined
}

/** True if a range may be sent: there is no `If-Range`, or it matches this representation exactly. */
export function mayHonourRange(headers: IncomingHttpHeaders, etag: string): boolean {
  const ifRange = headers['if-range']
  return ifRange === undefined || ifRange === etag
}

function matches(header: string, etag: string, isWeakComparison: boolean): boolean {
  return header.split(',').some((item) => {
    const tag = item.trim()
    return tag === '*' || tag === etag || (isWeakComparison && tag === `W/${etag}`)
  })
}
