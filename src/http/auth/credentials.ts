/**
 * The `Authorization` header of HTTP basic auth: `Basic ` and base64 of `name:password` in UTF-8 (RFC 7617).
 */

export interface Credentials {
  readonly name: string
  /** May hold colons and be empty. */
  readonly password: string
}

const maxHeaderLength = 8192

/** Undefined for another scheme, for what is not base64, and where the colon is missing. */
export function parseBasicAuthorization(header: string): Credentials | undefined {
  if (header.length > maxHeaderLength) return undefined
  const token = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(header)?.[1]
  if (token === undefined) return undefined
  const text = Buffer.from(token, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) return undefined
  return { name: text.slice(0, colon), password: text.slice(colon + 1) }
}

export function formatBasicAuthorization({ name, password }: Credentials): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
}
