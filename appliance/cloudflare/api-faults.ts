/**
 * What the Cloudflare API answers when it does not do what it was asked, in words:
 * `{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}`. The SDK's errors are told apart by
 * what they carry, not by their classes, so that the SDK need not be loaded for it.
 */
import { Complaint } from '../complaint.ts'
import { printable } from '../terminal/format.ts'
import type { Permission } from './marks.ts'
import { pageOf, type TokenKind } from './token-kind.ts'

/** Beyond that nobody waits at a prompt: the command ends and says when to come back. */
export const maxRetryWaitSeconds = 30

export interface Undertaking {
  /** After "Cannot ". */
  readonly action: string
  /** What the API token needs for it. */
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

/** Whatever else it is, it passes as it came. */
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

/** Of a token that is no token of a user, or none at all. */
export const isUnauthorized = (error: unknown) => [400, 401, 403].includes(findApiFault(error)?.status ?? 0)

/** How long Cloudflare wants us to stay away, when it does; 1 when it does not say. */
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

/** Cloudflare's own page about the fault; an address elsewhere is not passed on. */
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
    return `${host} ${findConnectionReason(error)}; see to the network of this machine, and run this again`
  const said = formatErrors(fault)
  if (status === 429) {
    const seconds = parseRetryAfter(headers?.get('retry-after'), Date.now())
    return `Cloudflare's rate limit is reached (${said}); run this again in ${seconds === undefined ? 'five minutes' : `${seconds} s`}`
  }
  if (status >= 500)
    return `Cloudflare has a fault of its own (${said}); run this again later, and see https://www.cloudflarestatus.com`
  if (isUnknownToken(fault))
    return `Cloudflare does not accept this API token (${said}): it is revoked, expired or not copied whole; make a new one at ${pageOf(undertaking.tokenKind)}`
  if (status === 401 || status === 403 || hasCode(fault, 9109, 10000))
    return `Cloudflare refuses it to this API token (${said}); ${remedyFor(fault, undertaking)}`
  if (hasCode(fault, 1013))
    return `there is a tunnel of this name that this API token may not see (${said}); choose another with --name, or let the token see all tunnels of the account`
  if (hasCode(fault, 1022))
    return `connectors are connected to it (${said}); stop Burrow first (a connector that was killed stays listed for some minutes), or cut them with --force`
  return `Cloudflare answers ${said}`
}

const hasCode = ({ errors }: ApiFault, ...codes: readonly number[]) =>
  errors.some(({ code }) => code !== undefined && codes.includes(code))

/** 9109 says this and two other things: that the token is not for this resource, or not for this machine's address. */
const isInvalidToken = ({ errors }: ApiFault) =>
  errors.some(({ code, message }) => code === 9109 && /invalid access token/i.test(message))

/** 1000, 6003 and 9106: no token that Cloudflare knows. */
const isUnknownToken = (fault: ApiFault) => isInvalidToken(fault) || hasCode(fault, 1000, 6003, 9106)

function remedyFor({ status, errors }: ApiFault, { permission, tokenKind }: Undertaking): string {
  const page = pageOf(tokenKind)
  if (errors.some(({ message }) => /location|ip address/i.test(message)))
    return `allow this machine's address in the token's filter, at ${page}`
  if (permission === undefined) return `make a new one at ${page}`
  const grant = `give it the permission "${permission}", for this account and zone, at ${page}`
  // Some endpoints of an account answer a revoked token as they answer one without the permission (10000).
  return status === 401 ? `see that it is neither revoked nor expired, and ${grant}` : grant
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
