/**
 * Who may use the cache. A user is a name with a secret, as HTTP basic auth carries them (RFC 7617);
 * the secret is known in clear or as an argon2id string (`$argon2id$v=19$m=…`, libsodium's `crypto_pwhash_str`).
 */

export type Access = 'pull' | 'push' | 'admin'

export interface User {
  /** Unique; no colon, no control characters. */
  readonly name: string
  readonly secret:
    | { readonly kind: 'plain'; readonly password: string }
    | { readonly kind: 'argon2id'; readonly hash: string }
  readonly access: ReadonlySet<Access>
  /** From this instant on the user is unknown. */
  readonly expires?: Date | undefined
}

/** Whoever a request was found to come from. On a public cache everybody is `anyone`. */
export interface Identity {
  readonly name: string | undefined
  readonly access: ReadonlySet<Access>
}

export const anyone: Identity = { name: undefined, access: new Set<Access>(['pull']) }

/** An administrator may do everything. */
export function mayDo({ access }: Identity, anyOf: readonly Access[]): boolean {
  return access.has('admin') || anyOf.some((one) => access.has(one))
}
