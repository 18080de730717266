/** HTTP requests of the doctor: like those of a Nix client, with a time limit per request and for all together. */
import { formatBasicAuthorization } from '../../src/index.ts'
import { type HttpOutcome, httpGet } from '../server/http-get.ts'
import { textOf } from './reply-text.ts'

export interface Clocks {
  /** Milliseconds since 1970. */
  now(): number
  /** Milliseconds since an arbitrary start; setting the system clock does not change it. */
  monotonicNow(): number
}

/** Time limit for all requests together. */
export interface Deadline {
  /** Timeout for the next request in milliseconds, at least 1. */
  nextTimeoutMs(): number
}

export interface Login {
  readonly name: string
  readonly password: string
}

export interface Question {
  readonly login?: Login | undefined
  readonly range?: string
}

/** One GET below a base URL. */
export type Ask = (path: string, question?: Question) => Promise<HttpOutcome>

/** Limit for one request. */
const perRequestMs = 8000
/** Enough for a narinfo with thousands of references, and for the part of a NAR that is requested. */
const maxBytes = 256 * 1024

/** The headers that Nix sends. The edge classifies clients by User-Agent and encodings. */
const nixHeaders = {
  'User-Agent': 'curl/8.12.1 Nix/2.28.3',
  Accept: '*/*',
  'Accept-Encoding': 'deflate, gzip, br, zstd',
}

export function createDeadline(totalMs: number, { monotonicNow }: Clocks): Deadline {
  const endMs = monotonicNow() + totalMs
  return { nextTimeoutMs: () => Math.max(1, Math.min(perRequestMs, endMs - monotonicNow())) }
}

export function createAsk(base: string, deadline: Deadline, socketPath?: string): Ask {
  return (path, { login, range } = {}) =>
    httpGet(new URL(`.${path}`, base.endsWith('/') ? base : `${base}/`), {
      headers: {
        ...nixHeaders,
        ...(login === undefined ? {} : { Authorization: formatBasicAuthorization(login) }),
        ...(range === undefined ? {} : { Range: range }),
      },
      ...(socketPath === undefined ? {} : { socketPath }),
      timeoutMs: deadline.nextTimeoutMs(),
      maxBytes,
    })
}

/** `StoreDir` of a `/nix-cache-info`; `undefined` if the text has none. */
export function findStoreDir(reply: Parameters<typeof textOf>[0]): string | undefined {
  return /^StoreDir:[ \t]*(\/\S*)[ \t]*$/m.exec(textOf(reply))?.[1]
}
