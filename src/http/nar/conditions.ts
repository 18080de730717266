/**
 * Conditional requests (RFC 9110, section 13) against a strong entity tag; the objects here have no date of
 * modification.
 */
import type { IncomingHttpHeaders } from 'node:http'

/** 304 or 412 when the request's conditions ask for it, else undefined. */
export function statusByConditions(headers: IncomingHttpHeaders, etag: string): 304 | 412 | undefined {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = headers
  if (ifMatch !== undefined && !names(ifMatch, etag, false)) return 412
  if (ifNoneMatch !== undefined && names(ifNoneMatch, etag, true)) return 304
  return undefined
}

/** Whether a range may be honoured: there is no `If-Range`, or it names exactly this representation. */
export function mayHonourRange(headers: IncomingHttpHeaders, etag: string): boolean {
  const ifRange = headers['if-range']
  return ifRange === undefined || ifRange === etag
}

function names(header: string, etag: string, isWeakComparison: boolean): boolean {
  return header.split(',').some((item) => {
    const tag = item.trim()
    return tag === '*' || tag === etag || (isWeakComparison && tag === `W/${etag}`)
  })
}
