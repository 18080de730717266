/**
 * Tokens of forms. Browsers send basic auth with requests that other sites make them send, so that a password alone does
 * not show that the user wants a change. A form also contains a token that other sites cannot know: it is bound to the
 * user and to this process.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export interface FormTokens {
  issue(user: string): string
  accepts(token: string, user: string): boolean
}

export function createFormTokens(): FormTokens {
  const key = randomBytes(32)
  const issue = (user: string) => createHmac('sha256', key).update(user).digest('base64url')
  return {
    issue,
    accepts(token, user) {
      const [given, wanted] = [Buffer.from(token), Buffer.from(issue(user))]
      return given.length === wanted.length && timingSafeEqual(given, wanted)
    },
  }
}
