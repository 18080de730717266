/**
 * Secrets out of what a connector writes: the ones we handed it, as they stand and in the forms in which they travel
 * (base64, percent- and JSON-encoded; what is base64 itself, without padding and decoded too), and whatever stands
 * where credentials stand: `Authorization`, `Cookie`, `Cf-Access-*` headers (cloudflared writes headers at level
 * debug), `user:password@` and the tokens of invitations in URLs.
 */

export type Redactor = (text: string) => string

const censor = '[secret]'

/** Shorter ones are no secrets, and would turn up in innocent words. */
const minLength = 6

const headerName = '(?:proxy-)?authorization|(?:set-)?cookie|cf-access-[a-z-]+'
/**
 * `Authorization: Basic …` to the end, Go's `Authorization:[Basic …]`, JSON's `"Authorization":["Basic …"]`, escaped
 * once more or not.
 */
const headerText = new RegExp(
  `\\b(${headerName})(\\\\*["']?\\s*[:=]\\s*)(\\[[^\\]]*\\]?|\\\\*"[^"]*"?|[^\\r\\n"\\]}]+)`,
  'gi',
)
const headerWord = new RegExp(`^(?:${headerName})$`, 'i')
const credentialWord = /\b(Basic|Bearer)\s+[A-Za-z0-9+/_.~-]{6,}=*/g
/** The link of an invitation, which cloudflared writes as a request's URL at level debug. */
const invitation = /(\/join\/)[A-Za-z0-9_-]{16,}/g
const userInfo = /(:\/\/)[^\s/?#@"'\\]+@/g

export function createRedactor(secrets: readonly string[]): Redactor {
  const forms = [...new Set(secrets.filter((secret) => secret.length >= minLength).flatMap(formsOf))].sort(
    (a, b) => b.length - a.length,
  )
  const known =
    forms.length === 0
      ? undefined
      : new RegExp(forms.map((form) => form.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&')).join('|'), 'g')
  return (text) =>
    (known === undefined ? text : text.replace(known, censor))
      .replace(headerText, `$1$2${censor}`)
      .replace(credentialWord, `$1 ${censor}`)
      .replace(invitation, `$1${censor}`)
      .replace(userInfo, `$1${censor}@`)
}

/** Is this the name of a field whose value is a credential? */
export function isCredentialName(name: string): boolean {
  return headerWord.test(name)
}

function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const encoded = [0, 1, 2]
    .flatMap((offset) => embeddedBase64(bytes, offset))
    .filter((form) => form.length >= minLength)
  return [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    bytes.toString('hex'),
    ...encoded,
    ...otherFormsOf(secret),
  ]
}

/** Of a secret that is base64 (tokens, and the secrets in them): the same bytes as others write them. */
function otherFormsOf(secret: string): string[] {
  if (!/^[A-Za-z0-9+/]{16,}={0,2}$/.test(secret)) return []
  const bytes = Buffer.from(secret, 'base64')
  return [
    secret.replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
  ]
}

/**
 * The characters that these bytes have in the base64 of any longer text which has them `offset` bytes (mod 3) after its
 * beginning.
 */
function embeddedBase64(bytes: Buffer, offset: number): string[] {
  const text = Buffer.concat([Buffer.alloc(offset), bytes])
    .toString('base64')
    .replace(/=+$/, '')
  // A character holds 6 bits: those which the neighbours share are not ours alone.
  const begin = Math.ceil((offset * 8) / 6)
  const end = Math.floor(((offset + bytes.length) * 8) / 6)
  const own = text.slice(begin, end)
  return [own, own.replaceAll('+', '-').replaceAll('/', '_')]
}
