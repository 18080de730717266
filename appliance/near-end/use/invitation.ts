/**
 * An invitation as `burrow use` accepts it: the same addresses as a browser's (src/http/routes/join.ts), answered in
 * JSON. The link is a secret: it is sent to its own host only, and is not repeated in messages.
 */
import * as z from 'zod'

import { readAtMost } from '../../../src/index.ts'
import { Complaint } from '../../complaint.ts'
import { parseCacheUrl } from '../../terminal/client-setup.ts'
import { printable } from '../../terminal/format.ts'
import type { NetrcLogin } from '../netrc.ts'

export interface InvitationLink {
  /** Of the cache. */
  readonly url: string
  readonly href: string
}

/** Undefined if it is not the link of an invitation. */
export function parseInvitationLink(text: string): InvitationLink | undefined {
  const [, base, token] = /^(.+)\/join\/([A-Za-z0-9_-]{43})\/?(?:[?#].*)?$/.exec(text) ?? []
  const url = base === undefined ? undefined : parseCacheUrl(base)
  return url === undefined ? undefined : { url, href: `${url}/join/${token}` }
}

const offer = z.object({
  name: z.string().regex(/^[^:\s\p{Cc}]{1,64}$/u),
  access: z.array(z.string()),
  storeDir: z.string(),
  publicKeys: z.array(z.string().regex(/^[^\s:]+:[A-Za-z0-9+/]{43}=$/)),
})
const accepted = offer.extend({ password: z.string().regex(/^[\x21-\x7e]{1,256}$/) })

export type Offer = z.output<typeof offer>

const maxBytes = 256 * 1024
const timeoutMs = 30_000

/** What the invitation offers; uses nothing up. @throws {Complaint} unavailable, refused */
export async function fetchOffer(link: InvitationLink): Promise<Offer> {
  return offer.parse(await send(link, 'GET', offer))
}

/** Makes the user. @throws {Complaint} unavailable, refused */
export async function acceptInvitation(link: InvitationLink): Promise<NetrcLogin> {
  const { name, password } = await send(link, 'POST', accepted)
  return { login: name, password }
}

async function send<T>({ url, href }: InvitationLink, method: 'GET' | 'POST', form: z.ZodType<T>): Promise<T> {
  const { status, text } = await request(url, href, method)
  if (status === 404)
    throw new Complaint(
      'refused',
      `Cannot use this invitation of ${url}: it has expired, was revoked, or was used already. Ask for a new one`,
    )
  const parsed = status === 200 ? form.safeParse(parseJson(text)) : undefined
  if (parsed?.success === true) return parsed.data
  if (status === 429 || status >= 500)
    throw new Complaint('unavailable', `${url} cannot answer now (HTTP ${status}); run the command again later`)
  throw new Complaint('refused', `${url} did not answer as a Burrow cache does (HTTP ${status}); check the link`)
}

async function request(url: string, href: string, method: string): Promise<{ status: number; text: string }> {
  try {
    const response = await fetch(href, {
      method,
      headers: { accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    })
    const body = response.body === null ? Buffer.alloc(0) : await readAtMost(response.body, maxBytes)
    return { status: response.status, text: body?.toString('utf8') ?? '' }
  } catch (error) {
    const { message, cause } = error as Error
    const why = cause instanceof Error ? cause.message : message
    const doubt =
      method === 'POST'
        ? '. The invitation may be used up: if the link does not work any more, ask for a new one'
        : '; run the command again later'
    throw new Complaint('unavailable', `Cannot reach ${url}: ${printable(why.replaceAll(href, url))}${doubt}`)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
