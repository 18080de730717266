/** One HTTP request to a cache, with its whole reply. */
import { type Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'

/** Where requests go, and what they have in common. */
export interface FarAddress {
  /** `https://cache.example.org`, without credentials. May have a path. */
  readonly url: URL
  /** The `Authorization` header; undefined for a public cache. */
  readonly authorization: string | undefined
  /** The version of this program, for the `Burrow-Client` header. */
  readonly version: string
  readonly signal?: AbortSignal
}

export interface FarRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Relative to the cache's URL, without a leading slash. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

export interface FarReply {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** Longer than the timeout of the edge (120 s). Detects connections that are lost without a reset. */
const idleTimeoutMs = 130_000
const maxReplyBytes = 64 * 1024 * 1024

/** Resolves to the reply, or to an error message. */
export function sendRequest(
  { method, path, headers, body }: FarRequest,
  agent: Agent,
  { url, authorization, version, signal }: FarAddress,
): Promise<FarReply | string> {
  const target = new URL(path, url.href.endsWith('/') ? url.href : `${url.href}/`)
  const send = target.protocol === 'https:' ? httpsRequest : httpRequest
  return new Promise((resolve) => {
    const request = send(target, {
      method,
      agent,
      ...(signal && { signal }),
      timeout: idleTimeoutMs,
      headers: {
        'user-agent': `burrow/${version}`,
        'burrow-client': version,
        ...(authorization !== undefined && { authorization }),
        // A tunnel over QUIC drops bodies without a length.
        ...(body && { 'content-length': String(body.byteLength) }),
        ...headers,
      },
    })
    const fail = (error: Error) => resolve((error as NodeJS.ErrnoException).code ?? error.message)
    request.on('error', fail)
    request.on('timeout', () => request.destroy(new Error(`no answer for ${idleTimeoutMs / 1000} s`)))
    request.on('response', (response) => {
      const chunks: Buffer[] = []
      let length = 0
      response.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > maxReplyBytes) response.destroy(new Error('the reply is too large'))
        else chunks.push(chunk)
      })
      response.on('error', fail)
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }),
      )
    })
    request.end(body)
  })
}
