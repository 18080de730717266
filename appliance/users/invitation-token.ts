/** The tokens of invitations: 32 random bytes in base64url, 43 characters. */
import { createHash, randomBytes } from 'node:crypto'

const tokenForm = /^[A-Za-z0-9_-]{43}$/

export function createToken(): string {
  return randomBytes(32).toString('base64url')
}

/** Undefined for what cannot be a token. A fast hash is enough: there are 2^256 tokens. */
export function hashToken(token: string): string | undefined {
  return tokenForm.test(token) ? createHash('sha256').update(token).digest('hex') : undefined
}
