/** How the doctor asks servers: as a Nix client would, bounded in time each and altogether. */
import { formatBasicAuthorization } from '../../src/index.ts'
import { type HttpOutcome, httpGet } from '../server/http-get.ts'
import { textOf } from './reply-text.ts'

export interface Clocks {
  /** Milliseconds since 1970. */
  now(): number
  /** Milliseconds since whenever; never set. */
  monotonicNow(): number
}

/** Time left for the whole examination. */
export interface Patience {
  /** What one request may take, in milliseconds: at least 1. */
  forOne(): number
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

const perRequestMs = 8000
/** A narinfo with thousands of references fits; so does what is asked of a NAR. */
const maxBytes = 256 * 1024

/** The edge judges clients by this header, and by their encodings: these are what Nix sends. */
const likeNix = { 'User-Agent': 'curl/8.12.1 Nix/2.28.3', Accept: '*/*', 'Accept-Encoding': 'deflate, gzip, br, zstd' }

export function createPatience(totalMs: number, { monotonicNow }: Clocks): Patience {
  const endMs = monotonicNow() + totalMs
  return { forOne: () => Math.max(1, Math.min(perRequestMs, endMs - monotonicNow())) }
}

export function createAsk(base: string, patience: Patience, socketPath?: string): Ask {
  return (path, { login, range } = {}) =>
    httpGet(new URL(`.${path}`, base.endsWith('/') ? base : `${base}/`), {
      headers: {
        ...likeNix,
        ...(login === undefined ? {} : { Authorization: formatBasicAuthorization(login) }),
        ...(range === undefined ? {} : { Range: range }),
      },
      ...(socketPath === undefined ? {} : { socketPath }),
      timeoutMs: patience.forOne(),
      maxBytes,
    })
}

/** `StoreDir` of a `/nix-cache-info`; `undefined` when the text is none. */
export function findStoreDir(reply: Parameters<typeof textOf>[0]): string | undefined {
  return /^StoreDir:[ \t]*(\/\S*)[ \t]*$/m.exec(textOf(reply))?.[1]
}
