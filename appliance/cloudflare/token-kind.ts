/**
 * The kind of an API token, by its prefix (since April 2026; older tokens have none): `cfut_…` a user token, `cfat_…` an
 * account token, `cfk_…` the Global API Key. Each kind has its own endpoint for verification, and its own page in the
 * dashboard.
 */
import { tokensPage } from './marks.ts'

export type TokenKind = 'user' | 'account' | 'global-key' | 'unknown'

const kinds: Readonly<Record<string, TokenKind>> = { cfut_: 'user', cfat_: 'account', cfk_: 'global-key' }

export function tokenKindOf(token: string): TokenKind {
  return kinds[/^cf[a-z]+_/.exec(token)?.[0] ?? ''] ?? 'unknown'
}

export const accountTokensPage = '"Manage Account > API Tokens" in the dashboard'

/** The page where such a token is created and changed. */
export function pageOf(kind: TokenKind): string {
  if (kind === 'account') return accountTokensPage
  return kind === 'user' ? tokensPage : `${tokensPage} (account tokens: ${accountTokensPage})`
}
