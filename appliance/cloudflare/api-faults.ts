/**
 * Explains errors of the Cloudflare API:
 * `{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}`. The SDK's errors are recognised by
 * their properties, not by their classes, so that the SDK need not be loaded.
 */
import { Complaint } from '../complaint.ts'
import { printable } from '../terminal/format.ts'
import type { Permission } from './marks.ts'
import { pageOf, type TokenKind } from './token-kind.ts'

/** If Cloudflare asks for a longer wait, the command fails and says when to try again. */
export const maxRetryWaitSeconds = 30

export interface Undertaking {
  /** After "Cannot ". */
  readonly action: string
  /** The permission that the API token needs for it. */
  readonly permission?: Permission | undefined
  /** Host of the API. */
  readonly host: string
  readonly tokenKind: TokenKind
}

interface ApiFault {
  readonly status: number | undefined
  readonly headers: Headers | undefined
  readonly errors: readonly {
    readonly code: number | undefined
    readonly message: string
    readonly page: string | undefined
  }[]
}

/** Returns other errors unchanged. */
export function toApiComplaint(error: unknown, undertaking: Undertaking): unknown {
  const fault = findApiFault(error)
  if (fault === undefined) return error
  return new Complaint(
    'refused',
    `Cannot ${undertaking.action}: ${explain(error, fault, undertaking)}${formatPage(fault)}`,
    { cause: error },
  )
}

export const isNotFound = (error: unknown) => findApiFault(error)?.status === 404

/** The status codes for a token that does not belong to a user, or that is unknown. */
export const isUnauthorized = (error: unknown) => [400, 401, 403].includes(findApiFault(error)?.status ?? 0)

/** How long to wait because of a rate limit; 1 if the reply does not say. `undefined` for other errors. */
export function findRateLimitSeconds(error: unknown): number | undefined {
  const fault = findApiFault(error)
  return fault?.status === 429 ? (parseRetryAfter(fault.headers?.get('retry-after'), Date.now()) ?? 1) : undefined
}

/** Seconds, from seconds or a date (RFC 9110, 10.2.3). */
export function parseRetryAfter(value: string | null | undefined, now: number): number | undefined {
  if (value === null || value === undefined || value === '') return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value)
  const at = Date.parse(value)
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - now) / 1000))
}

function findApiFault(error: unknown): ApiFault | undefined {
  if (!(error instanceof Error) || !('status' in error) || !('errors' in error)) return undefined
  const status = typeof error.status === 'number' ? error.status : undefined
  const headers = 'headers' in error && error.headers instanceof Headers ? error.headers : undefined
  const errors = Array.isArray(error.errors) ? error.errors : []
  return {
    status,
    headers,
    errors: errors
      .slice(0, 5)
      .flatMap((entry: { code?: unknown; message?: unknown; documentation_url?: unknown } | null) => {
        if (typeof entry?.message !== 'string') return []
        const code = typeof entry.code === 'number' ? entry.code : undefined
        return [{ code, message: printable(entry.message), page: toPage(entry.documentation_url) }]
      }),
  }
}

/** Cloudflare's page about the error. URLs of other sites are not shown. */
function toPage(text: unknown): string | undefined {
  const url = typeof text === 'string' && text.length <= 300 ? URL.parse(text) : null
  return url?.protocol === 'https:' && /(?:^|\.)cloudflare\.com$/.test(url.hostname) ? url.href : undefined
}

function formatPage({ errors }: ApiFault): string {
  const page = errors.find((each) => each.page !== undefined)?.page
  return page === undefined ? '' : ` (Cloudflare explains this at ${page})`
}

function explain(error: unknown, fault: ApiFault, undertaking: Undertaking): string {
  const { host } = undertaking
  const { status, headers } = fault
  if (status === undefined)
    return `${host} ${findConnectionReason(error)}; check the network of this machine and try again`
  const said = formatErrors(fault)
  if (status === 429) {
    const seconds = parseRetryAfter(headers?.get('retry-after'), Date.now())
    return `Cloudflare's rate limit is reached (${said}); try again in ${seconds === undefined ? 'five minutes' : `${seconds} s`}`
  }
  if (status >= 500)
    return `Cloudflare reports an internal error (${said}); try again later, and see https://www.cloudflarestatus.com`
  if (isUnknownToken(fault))
    return `Cloudflare does not accept this API token (${said}): it was revoked, has expired or was not copied completely; create a new one at ${pageOf(undertaking.tokenKind)}`
  if (status === 401 || status === 403 || hasCode(fault, 9109, 10000))
    return `this API token has no permission for it (${said}); ${remedyFor(fault, undertaking)}`
  if (hasCode(fault, 1013))
    return `there is a tunnel with this name that this API token cannot access (${said}); choose another name with --name, or give the token access to all tunnels of the account`
  if (hasCode(fault, 1022))
    return `connectors are connected to it (${said}); stop Burrow first (a killed connector is listed for some more minutes), or disconnect them with --force`
  return `Cloudflare answered ${said}`
}

const hasCode = ({ errors }: ApiFault, ...codes: readonly number[]) =>
  errors.some(({ code }) => code !== undefined && codes.includes(code))

/** 9109 has two other meanings: the token is not valid for this resource, or not for this machine's address. */
const isInvalidToken = ({ errors }: ApiFault) =>
  errors.some(({ code, message }) => code === 9109 && /invalid access token/i.test(message))

/** 1000, 6003 and 9106: Cloudflare does not know the token. */
const isUnknownToken = (fault: ApiFault) => isInvalidToken(fault) || hasCode(fault, 1000, 6003, 9106)

function remedyFor({ status, errors }: ApiFault, { permission, tokenKind }: Undertaking): string {
  const page = pageOf(tokenKind)
  if (errors.some(({ message }) => /location|ip address/i.test(message)))
    return `allow this machine's address in the token's filter, at ${page}`
  if (permission === undefined) return `create a new one at ${page}`
  const grant = `give it the permission "${permission}", for this account and zone, at ${page}`
  // Some endpoints of an account give the same answer for a revoked token as for a missing permission (10000).
  return status === 401 ? `check that it is neither revoked nor expired, and ${grant}` : grant
}

function formatErrors({ status, errors, headers }: ApiFault): string {
  const ray = headers?.get('cf-ray')
  const told = errors.map(({ code, message }) => `${code === undefined ? '' : `code ${code}: `}${message}`)
  return [`HTTP ${status}`, ...told, ...(status! >= 500 && ray ? [`Ray ID ${printable(ray, 40)}`] : [])].join(', ')
}

function findConnectionReason(error: unknown): string {
  const texts: string[] = []
  let each = error
  while (typeof each === 'object' && each !== null && texts.length < 5) {
    const { code, message, cause } = each as { code?: unknown; message?: unknown; cause?: unknown }
    if (typeof code === 'string' || typeof message === 'string') texts.push(String(code ?? message))
    each = cause
  }
  if (texts.some((text) => /timed? ?out|timeout/i.test(text))) return 'did not answer in time'
  return `cannot be reached (${printable(texts.at(-1) ?? 'no connection', 120)})`
}
