/** `fetch` with limits, for libraries that accept a custom `fetch`: Cloudflare's SDK and jose. */
import { readAtMost } from '../../src/index.ts'

export interface FetchLimits {
  /** From the request to the end of the reply. */
  readonly timeoutMs: number
  /** Of the decoded body. */
  readonly maxBytes: number
}

/**
 * Follows no redirect, which could carry a token elsewhere: the caller gets the 3xx reply. The body of the reply is
 * complete. Rejects when a limit is exceeded.
 */
export async function fetchBounded(
  input: string | URL | Request,
  init: RequestInit | undefined,
  { timeoutMs, maxBytes }: FetchLimits,
): Promise<Response> {
  const signals = [AbortSignal.timeout(timeoutMs), ...(init?.signal ? [init.signal] : [])]
  const response = await fetch(input, { ...init, redirect: 'manual', signal: AbortSignal.any(signals) })
  const body = response.body === null ? Buffer.alloc(0) : await readAtMost(response.body, maxBytes)
  if (body === undefined) throw new Error(`a reply is longer than ${maxBytes} bytes`)
  const headers = new Headers(response.headers)
  // `fetch` has decoded the body.
  headers.delete('content-encoding')
  headers.delete('content-length')
  return new Response(body.length === 0 ? null : new Uint8Array(body), {
    status: response.status,
    statusText: response.statusText,
    headers,
  })
}
