/**
 * What lets a connector log in at the edge, in its two forms, which say the same:
 *   token         base64 (standard alphabet, padded) of {"a":"account tag","t":"tunnel UUID","s":"base64 secret","e":"endpoint"?}
 *   credentials   {"AccountTag":…,"TunnelSecret":…,"TunnelID":…,"Endpoint":…?}, the file that `cloudflared tunnel create` writes
 * cloudflared itself takes almost anything that is base64 of JSON and then runs for ever without a tunnel; so they are
 * checked here (cloudflared, connection/connection.go).
 */
import * as z from 'zod'

export interface TunnelIdentity {
  readonly accountTag: string
  /** A UUID in lower case. */
  readonly tunnelId: string
  /** Base64. */
  readonly secret: string
  readonly endpoint: string | undefined
}

/** What is wrong, to follow "the token"; never a part of the token. */
export interface Refusal {
  readonly refusal: string
  readonly remedy: string
}

const uuid = z.string().regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i)
const base64 = z.string().regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/)
const accountTag = z.string().regex(/^[0-9a-zA-Z]{1,128}$/)
const secret = base64.check(z.minLength(1))
const endpoint = z.string().max(64).optional()

const tokenContent = z.object({ a: accountTag, t: uuid, s: secret, e: endpoint })
const credentialsContent = z.object({
  AccountTag: accountTag,
  TunnelID: uuid,
  TunnelSecret: secret,
  Endpoint: endpoint,
})

const fromDashboard =
  "copy it again: the dashboard shows it as the long word that begins with eyJ in the tunnel's install command"
const fromCreate = 'name the JSON file that "cloudflared tunnel create" wrote'

/** White space around the token does not count. */
export function parseTunnelToken(text: string): TunnelIdentity | Refusal {
  const token = text.trim()
  if (token === '') return { refusal: 'is empty', remedy: fromDashboard }
  if (/\s/.test(token))
    return {
      refusal: 'holds white space: it seems to be a whole command, or several lines',
      remedy: 'keep the word that begins with eyJ alone',
    }
  if (/^["'].*["']$/.test(token)) return { refusal: 'stands in quotes', remedy: 'remove them' }
  if (/^\{/.test(token))
    return { refusal: 'is JSON: a credentials file, it seems', remedy: 'use mode "credentials" and "credentialsFile"' }
  if (/^[\w-]+={0,2}$/.test(token) && /[-_]/.test(token))
    return { refusal: 'is in the base64url alphabet, which cloudflared does not take', remedy: fromDashboard }
  if (!base64.safeParse(token).success)
    return { refusal: 'is not base64 (perhaps its end is missing)', remedy: fromDashboard }
  const parsed = tokenContent.safeParse(parseJson(Buffer.from(token, 'base64').toString('utf8')))
  if (!parsed.success)
    return { refusal: 'is not a tunnel token: it lacks account, tunnel or secret', remedy: fromDashboard }
  const { a, t, s, e } = parsed.data
  return { accountTag: a, tunnelId: t.toLowerCase(), secret: s, endpoint: e === '' ? undefined : e }
}

export function parseTunnelCredentials(text: string): TunnelIdentity | Refusal {
  const content = parseJson(text)
  if (content === undefined) return { refusal: 'is not JSON', remedy: fromCreate }
  const parsed = credentialsContent.safeParse(content)
  if (!parsed.success)
    return { refusal: 'lacks AccountTag, TunnelID or TunnelSecret, or has them in another form', remedy: fromCreate }
  const { AccountTag, TunnelID, TunnelSecret, Endpoint } = parsed.data
  return {
    accountTag: AccountTag,
    tunnelId: TunnelID.toLowerCase(),
    secret: TunnelSecret,
    endpoint: Endpoint === '' ? undefined : Endpoint,
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
