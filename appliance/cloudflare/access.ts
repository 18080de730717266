/**
 * Who came through Cloudflare Access: the JWT that it puts into `Cf-Access-Jwt-Assertion`, signed RS256 with the team's
 * keys (developers.cloudflare.com/cloudflare-one, "Validate JWTs"):
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
  /** Default: the team's own address. */
  readonly jwksUrl?: URL
  /** Unknown key ids ask for the keys at most that often: anybody can make them up. */
  readonly refetchMs?: number
  readonly now: () => Date
}

/** `unavailable`: the team's keys cannot be had, which is not the visitor's fault. */
export type AccessRefusal = 'missing' | 'malformed' | 'expired' | 'not-for-us' | 'forged' | 'nobody' | 'unavailable'

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
 * Access changes its key every six weeks and honours the one before for a week more; a key that was revoked is unknown
 * here after an hour.
 */
const keysMaxAgeMs = 3_600_000
const defaultRefetchMs = 30_000
const clockToleranceSeconds = 60

/** @throws {Error} for a team that cannot be one */
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

/** A service token has a "common_name" and no address: it is no person. */
function toIdentity({ email }: JWTPayload): AccessVerdict {
  const isAddress =
    typeof email === 'string' &&
    email.length <= 320 &&
    /^[^\s\u0000-\u001f\u007f]+@[^\s\u0000-\u001f\u007f]+$/.test(email)
  return isAddress ? { email } : { refusal: 'nobody' }
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

/** The keys are asked for by requests of strangers: after a failure nothing is fetched for a while. */
function pauseAfterFailure(fetchKeys: typeof fetchFromTeam, pauseMs: number, now: () => Date): typeof fetchFromTeam {
  let failure: { readonly error: unknown; readonly untilMs: number } | undefined
  return async (url, init) => {
    if (failure !== undefined && now().getTime() < failure.untilMs) throw failure.error
    try {
      const response = await fetchKeys(url, init)
      failure = undefined
      if (!response.ok) throw new Error(`the keys were answered with HTTP ${response.status}`)
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
