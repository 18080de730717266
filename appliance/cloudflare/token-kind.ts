/**
 * Whose an API token is, by its first letters (since April 2026; older ones have none): `cfut_…` a user's, `cfat_…` an
 * account's, `cfk_…` the Global API Key. Each kind is verified at an address of its own, and made and changed on a page
 * of its own.
 */
import { tokensPage } from './marks.ts'

export type TokenKind = 'user' | 'account' | 'global-key' | 'unknown'

const kinds: Readonly<Record<string, TokenKind>> = { cfut_: 'user', cfat_: 'account', cfk_: 'global-key' }

export function tokenKindOf(token: string): TokenKind {
  return kinds[/^cf[a-z]+_/.exec(token)?.[0] ?? ''] ?? 'unknown'
}

export const accountTokensPage = '"Manage Account > API Tokens" in the dashboard'

/** Where such a token is made and changed. */
export function pageOf(kind: TokenKind): string {
  if (kind === 'account') return accountTokensPage
  return kind === 'user' ? tokensPage : `${tokensPage} (one of an account: ${accountTokensPage})`
}
