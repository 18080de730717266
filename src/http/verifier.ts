/**
 * The one judge of credentials, asked by the hot routes and by Passport's BasicStrategy alike.
 *
 * A password is verified once (argon2id takes tens of milliseconds by design) and the `Authorization` header that carried it is then remembered
 * under a keyed hash (BLAKE2b with a random key of this process), so neither passwords nor guessable digests of them lie in memory,
 * and the time of a look-up tells nothing. A change of users forgets everything; expiry is looked at with every request.
 */
import sodium from 'sodium-native'

import { parseBasicAuthorization } from './credentials.ts'
import type { FailedLogins } from './failed-logins.ts'
import { anyone, type Identity, type User } from './user.ts'

export type Verdict =
  | { readonly kind: 'known'; readonly identity: Identity }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'slow-down'; readonly retryAfterSeconds: number }

export interface Verifier {
  /** The identity of a header verified before (or of everybody, on a public cache). Synchronous: microseconds. */
  recall(authorization: string | undefined): Identity | undefined
  /** Verifies a header. Wrong credentials take longer each time; see failed-logins.ts. Never rejects. */
  verify(authorization: string | undefined, address: string): Promise<Verdict>
  /** Replaces all users at once; `undefined` makes the cache public. Acts on the next request. */
  replaceUsers(users: readonly User[] | undefined): void
}

export interface VerifierOptions {
  readonly users: readonly User[] | undefined
  readonly failedLogins: FailedLogins
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly sleep: (ms: number) => Promise<void>
}

/** One user may spell the same credentials in several ways; more than a few thousand is not a user. */
const maxRemembered = 4096
/** argon2id verifications at once: each takes tens of MiB and a core. */
const maxArgon2 = 2

interface Remembered {
  readonly identity: Identity
  readonly expiresMs: number
}

export function createVerifier({ users: initialUsers, failedLogins, now, sleep }: VerifierOptions): Verifier {
  const digestOf = createKeyedHash()
  const argon2 = createTurnstile(maxArgon2)
  let users = toMap(initialUsers)
  let decoy = decoyFor(initialUsers)
  const remembered = new Map<string, Remembered>()

  async function matches(user: User | undefined, password: string): Promise<boolean> {
    if (user?.secret.kind === 'plain') return sameText(digestOf, user.secret.password, password)
    // A name that is not there costs what one that is there would: otherwise the time would tell which names exist.
    const hash = user?.secret.kind === 'argon2id' ? user.secret.hash : decoy
    if (hash === undefined) return false
    const right = await argon2(() => verifyArgon2id(hash, password))
    return right && user !== undefined
  }

  return {
    recall(authorization) {
      if (users === undefined) return anyone
      if (authorization === undefined) return undefined
      const known = remembered.get(digestOf(authorization))
      return known !== undefined && now() < known.expiresMs ? known.identity : undefined
    },

    async verify(authorization, address) {
      const recalled = this.recall(authorization)
      if (recalled !== undefined) return { kind: 'known', identity: recalled }
      const credentials = authorization === undefined ? undefined : parseBasicAuthorization(authorization)
      if (credentials === undefined) return { kind: 'unknown' }
      const leave = failedLogins.enter(address)
      if (leave === undefined) return { kind: 'slow-down', retryAfterSeconds: 5 }
      try {
        const usersAtStart = users
        const user = usersAtStart?.get(credentials.name)
        const expiresMs = user?.expires?.getTime() ?? Number.POSITIVE_INFINITY
        const right = await matches(user, credentials.password)
        if (right && user !== undefined && now() < expiresMs && users === usersAtStart) {
          const identity: Identity = { name: user.name, access: user.access }
          if (remembered.size >= maxRemembered) remembered.clear()
          remembered.set(digestOf(authorization!), { identity, expiresMs })
          return { kind: 'known', identity }
        }
        await sleep(await failedLogins.count(address, credentials.name))
        return { kind: 'unknown' }
      } finally {
        leave()
      }
    },

    replaceUsers(replacement) {
      users = toMap(replacement)
      decoy = decoyFor(replacement)
      remembered.clear()
    },
  }
}

function toMap(users: readonly User[] | undefined): ReadonlyMap<string, User> | undefined {
  return users === undefined ? undefined : new Map(users.map((user) => [user.name, user]))
}

/** A hash with the same cost as the users' own, so that unknown names take as long; none is needed where no user has one. */
function decoyFor(users: readonly User[] | undefined): string | undefined {
  return users?.map(({ secret }) => (secret.kind === 'argon2id' ? secret.hash : undefined)).find((hash) => hash !== undefined)
}

function createKeyedHash(): (text: string) => string {
  const key = sodium.sodium_malloc(sodium.crypto_generichash_KEYBYTES)
  sodium.randombytes_buf(key)
  const digest = Buffer.alloc(sodium.crypto_generichash_BYTES)
  return (text) => {
    sodium.crypto_generichash(digest, Buffer.from(text), key)
    return digest.toString('latin1')
  }
}

/** Equality in constant time, whatever the lengths. */
function sameText(digestOf: (text: string) => string, left: string, right: string): boolean {
  return sodium.sodium_memcmp(Buffer.from(digestOf(left), 'latin1'), Buffer.from(digestOf(right), 'latin1'))
}

function verifyArgon2id(hash: string, password: string): Promise<boolean> {
  const padded = Buffer.alloc(sodium.crypto_pwhash_STRBYTES)
  if (padded.write(hash, 'latin1') !== hash.length || hash.length >= padded.length) return Promise.resolve(false)
  return new Promise((resolve) => {
    sodium.crypto_pwhash_str_verify_async(padded, Buffer.from(password), (error, right) => resolve(error === null && right === true))
  })
}

/** Lets so many through at once, the others in order of arrival. */
function createTurnstile(places: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let free = places
  return async (work) => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) free++
      else next()
    }
  }
}
