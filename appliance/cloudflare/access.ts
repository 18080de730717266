/**
 * Verifies the identity given by Cloudflare Access: the JWT in `Cf-Access-Jwt-Assertion`, signed with RS256 by the
 * team's keys (developers.cloudflare.com/cloudflare-one, "Validate JWTs"):
 * `{"iss":"https://TEAM.cloudflareaccess.com","aud":["<application's tag>"],"email":…,"exp":…}`.
 */
import { createRemoteJWKSet, customFetch, errors, type JWTPayload, jwtVerify } from 'jose'

import { fetchBounded } from './bounded-fetch.ts'

export const accessHeader = 'cf-access-jwt-assertion'

export interface AccessOptions {
  /** `TEAM` or `TEAM.cloudflareaccess.com`. */
  readonly teamDomain: string
  /** The application's tag ("AUD"), 64 hexadecimal digits. */
  readonly audience: string
  /** Default: the team's address. */
  readonly jwksUrl?: URL
  /** Minimum time between requests for the keys because of unknown key ids, which anyone can invent. */
  readonly refetchMs?: number
  readonly now: () => Date
}

/** `not-a-person`: a service token. `unavailable`: the team's keys cannot be fetched, which is not the visitor's fault. */
export type AccessRefusal =
  | 'missing'
  | 'malformed'
  | 'expired'
  | 'not-for-us'
  | 'forged'
  | 'not-a-person'
  | 'unavailable'

export type AccessVerdict = { readonly email: string } | { readonly refusal: AccessRefusal }

export interface AccessVerifier {
  /** Never rejects. */
  verify(assertion: string | undefined): Promise<AccessVerdict>
}

/** An assertion with many groups is 4 KB. */
const maxAssertionBytes = 8192
/** A team has two keys of 2048 bits, each twice: 8 KB. */
const maxKeysBytes = 256 * 1024
const keysTimeoutMs = 5000
/**
 * Access rotates its key every six weeks and accepts the previous one for another week. A revoked key is rejected here
 * after at most an hour.
 */
const keysMaxAgeMs = 3_600_000
const defaultRefetchMs = 30_000
const clockToleranceSeconds = 60

/** @throws {Error} for an invalid team domain */
export function createAccessVerifier({
  teamDomain,
  audience,
  jwksUrl,
  refetchMs = defaultRefetchMs,
  now,
}: AccessOptions): AccessVerifier {
  const issuer = toIssuer(teamDomain)
  const keys = createRemoteJWKSet(jwksUrl ?? new URL('/cdn-cgi/access/certs', issuer), {
    timeoutDuration: keysTimeoutMs,
    cooldownDuration: refetchMs,
    cacheMaxAge: keysMaxAgeMs,
    [customFetch]: pauseAfterFailure(fetchFromTeam, refetchMs, now),
  })
  return {
    async verify(assertion) {
      if (assertion === undefined || assertion === '') return { refusal: 'missing' }
      if (assertion.length > maxAssertionBytes) return { refusal: 'malformed' }
      try {
        const { payload } = await jwtVerify(assertion, keys, {
          algorithms: ['RS256'],
          issuer,
          audience,
          clockTolerance: clockToleranceSeconds,
          currentDate: now(),
          requiredClaims: ['exp', 'iat'],
        })
        return toIdentity(payload)
      } catch (error) {
        return { refusal: toRefusal(error) }
      }
    },
  }
}

function toIssuer(teamDomain: string): string {
  const [, team] =
    /^(?:https:\/\/)?([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.cloudflareaccess\.com)?\/?$/i.exec(teamDomain) ?? []
  if (team === undefined)
    throw new Error(`"${teamDomain}" is not an Access team domain, such as "example.cloudflareaccess.com"`)
  return `https://${team.toLowerCase()}.cloudflareaccess.com`
}

/** A service token has a "common_name" and no email address. */
function toIdentity({ email }: JWTPayload): AccessVerdict {
  const isAddress =
    typeof email === 'string' &&
    email.length <= 320 &&
    /^[^\s\u0000-\u001f\u007f]+@[^\s\u0000-\u001f\u007f]+$/.test(email)
  return isAddress ? { email } : { refusal: 'not-a-person' }
}

function toRefusal(error: unknown): AccessRefusal {
  if (error instanceof errors.JWTExpired) return 'expired'
  if (error instanceof errors.JWTClaimValidationFailed) return 'not-for-us'
  if (
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys
  )
    return 'forged'
  if (error instanceof errors.JOSEAlgNotAllowed) return 'forged'
  if (
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JOSENotSupported
  )
    return 'malformed'
  return 'unavailable'
}

/** Requests of strangers cause these fetches, so after a failure nothing is fetched for a while. */
function pauseAfterFailure(fetchKeys: typeof fetchFromTeam, pauseMs: number, now: () => Date): typeof fetchFromTeam {
  let failure: { readonly error: unknown; readonly untilMs: number } | undefined
  return async (url, init) => {
    if (failure !== undefined && now().getTime() < failure.untilMs) throw failure.error
    try {
      const response = await fetchKeys(url, init)
      failure = undefined
      if (!response.ok) throw new Error(`the request for the keys was answered with HTTP ${response.status}`)
      return response
    } catch (error) {
      failure = { error, untilMs: now().getTime() + pauseMs }
      throw error
    }
  }
}

function fetchFromTeam(url: string, init: RequestInit): Promise<Response> {
  return fetchBounded(url, init, { timeoutMs: keysTimeoutMs, maxBytes: maxKeysBytes })
}
