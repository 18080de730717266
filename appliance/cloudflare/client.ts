/**
 * The official SDK with limits: all settings are given here (by default it would read CLOUDFLARE_API_KEY,
 * CLOUDFLARE_BASE_URL and CLOUDFLARE_LOG from the environment), it does not follow redirects, and time and size of
 * replies are limited. It is loaded when it is needed: from the bundle if there is one, or else from the package, which
 * is a development dependency (25 MB of modules).
 */
import { pathToFileURL } from 'node:url'

import type { Cloudflare } from 'cloudflare/client'

import { findBundle } from '../bundles.ts'
import { Complaint, systemCodeOf } from '../complaint.ts'
import { maxRetryWaitSeconds, parseRetryAfter } from './api-faults.ts'
import { fetchBounded } from './bounded-fetch.ts'

export type CloudflareClient = Cloudflare

/** For one attempt, from the request to the end of the reply. */
const attemptMs = 30_000
/** The SDK waits 0.5, 1 and 2 s between them, or as long as Retry-After says. */
const maxRetries = 3
/** A page of 50 tunnels with all their connections is below 1 MB. */
const maxReplyBytes = 16 * 1024 * 1024

export async function openClient(baseUrl: URL, apiToken: string): Promise<CloudflareClient> {
  const { Cloudflare: Client } = await importSdk()
  return new Client({
    baseURL: baseUrl.href.replace(/\/$/, ''),
    apiToken,
    apiKey: null,
    apiEmail: null,
    userServiceKey: null,
    timeout: attemptMs,
    maxRetries,
    // At level "debug", it would print headers and bodies.
    logLevel: 'off',
    fetch: fetchForSdk,
  })
}

async function importSdk(): Promise<typeof import('./sdk.ts')> {
  const bundle = findBundle('cloudflare')
  try {
    return bundle === undefined ? await import('./sdk.ts') : await import(pathToFileURL(bundle).href)
  } catch (error) {
    if (systemCodeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error
    const message =
      'Cannot use Cloudflare\'s API: its SDK is not installed. Run "npm ci && npm run bundle" in Burrow\'s directory'
    throw new Complaint('refused', message, { cause: error })
  }
}

async function fetchForSdk(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const response = await fetchBounded(input, init, { timeoutMs: attemptMs, maxBytes: maxReplyBytes })
  const wait = parseRetryAfter(response.headers.get('retry-after'), Date.now())
  if (wait !== undefined && wait > maxRetryWaitSeconds) response.headers.set('x-should-retry', 'false')
  return response
}
