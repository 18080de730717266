/**
 * The edge's cache: whole replies by path and query, of the one host name there is. The key knows neither the eyeball
 * nor its Authorization: what is kept is for everybody.
 */
import type { HeaderLines, ReplyHead } from './reply-head.ts'
import { find, without } from './reply-head.ts'

export interface CachedReply extends ReplyHead {
  readonly body: Buffer
  readonly storedAt: number
  readonly expiresAt: number
}

export type Lookup =
  | { readonly kind: 'fresh'; readonly reply: CachedReply }
  | { readonly kind: 'expired' }
  | { readonly kind: 'absent' }

export class EdgeCache {
  readonly #replies = new Map<string, CachedReply>()

  find(key: string, now: number): Lookup {
    const reply = this.#replies.get(key)
    if (!reply) return { kind: 'absent' }
    return now < reply.expiresAt ? { kind: 'fresh', reply } : { kind: 'expired' }
  }

  store(key: string, head: ReplyHead, body: Buffer, now: number, ttlSeconds: number): void {
    this.#replies.set(key, { ...head, body, storedAt: now, expiresAt: now + ttlSeconds * 1000 })
  }

  purge(): void {
    this.#replies.clear()
  }
}

export interface ServedReply extends ReplyHead {
  readonly body: Buffer
}

/** What a kept reply is for this request: 304, one range as 206, 416, or the whole. `now` in milliseconds. */
export function serveKept(
  reply: CachedReply,
  now: number,
  range: string | undefined,
  ifNoneMatch: string | undefined,
): ServedReply {
  const age = Math.max(0, Math.floor((now - reply.storedAt) / 1000))
  const headers: HeaderLines = [...without(reply.headers, 'age', 'content-length'), ['Age', String(age)]]
  const etag = find(headers, 'etag')
  if (etag && ifNoneMatch && matches(ifNoneMatch, etag)) return { status: 304, headers, body: Buffer.alloc(0) }
  const wanted = reply.status === 200 && range ? parseRange(range, reply.body.length) : undefined
  if (wanted === 'unsatisfiable')
    return {
      status: 416,
      headers: [...headers, ['Content-Range', `bytes */${reply.body.length}`]],
      body: Buffer.alloc(0),
    }
  const body = wanted ? reply.body.subarray(wanted.from, wanted.to + 1) : reply.body
  const lengthened: HeaderLines = [...headers, ['Content-Length', String(body.length)]]
  if (!wanted) return { status: reply.status, headers: lengthened, body }
  return {
    status: 206,
    headers: [...lengthened, ['Content-Range', `bytes ${wanted.from}-${wanted.to}/${reply.body.length}`]],
    body,
  }
}

/**
 * The one range of `bytes=a-b`, `bytes=a-` or `bytes=-n`, both ends inclusive; `undefined` for what is to be ignored
 * (RFC 9110 section 14.2).
 */
export function parseRange(
  text: string,
  size: number,
): { readonly from: number; readonly to: number } | 'unsatisfiable' | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(text.trim()) ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  const from = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const to = first === '' || last === '' ? size - 1 : Math.min(size - 1, Number(last))
  if (first !== '' && last !== '' && Number(last) < from) return undefined
  return from >= size || (first === '' && Number(last) === 0) ? 'unsatisfiable' : { from, to }
}

/** The weak comparison of RFC 9110 section 8.8.3.2. */
function matches(ifNoneMatch: string, etag: string): boolean {
  const bare = (tag: string) => tag.trim().replace(/^W\//, '')
  return ifNoneMatch.trim() === '*' || ifNoneMatch.split(',').some((tag) => bare(tag) === bare(etag))
}
