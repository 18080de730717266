/**
 * Who may use the cache. A user has a name and a password for HTTP basic auth (RFC 7617). The password is stored as plain
 * text or as an argon2id string (`$argon2id$v=19$m=…`, libsodium's `crypto_pwhash_str`).
 */

/** In the order in which they are shown. */
export const accessKinds = ['pull', 'push', 'admin'] as const
export type Access = (typeof accessKinds)[number]

export interface User {
  /** Unique; no colon, no control characters. */
  readonly name: string
  readonly secret:
    | { readonly kind: 'plain'; readonly password: string }
    | { readonly kind: 'argon2id'; readonly hash: string }
  readonly access: ReadonlySet<Access>
  /** From this time on the user cannot log in. */
  readonly expires?: Date | undefined
}

/** Who sent a request. On a public cache every client is `anyone`. */
export interface Identity {
  readonly name: string | undefined
  readonly access: ReadonlySet<Access>
}

export const anyone: Identity = { name: undefined, access: new Set<Access>(['pull']) }

/** An administrator may do everything. */
export function mayDo({ access }: Identity, anyOf: readonly Access[]): boolean {
  return access.has('admin') || anyOf.some((one) => access.has(one))
}
