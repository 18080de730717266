/**
 * The one judge of credentials, asked by the hot routes and by Passport's BasicStrategy alike.
 *
 * A password is verified once (argon2id takes tens of milliseconds by design) and the `Authorization` header that
 * carried it is then remembered under a keyed hash (BLAKE2b with a random key of this process), so neither passwords
 * nor guessable digests of them lie in memory, and the time of a look-up tells nothing. A change of users forgets
 * whoever is not the same as before; expiry is looked at with every request.
 */
import sodium from 'sodium-native'
import { networkOf } from './client-address.ts'
import { type Credentials, parseBasicAuthorization } from './credentials.ts'
import { createHashLine } from './hash-line.ts'
import type { LoginThrottle, Standing } from './login-throttle.ts'
import { anyone, type Identity, type User } from './user.ts'

export type LoginResult =
  | { readonly kind: 'known'; readonly identity: Identity }
  /** `name`: the one that was claimed. Hostile text. */
  | { readonly kind: 'unknown'; readonly name: string | undefined }
  | { readonly kind: 'slow-down'; readonly retryAfterSeconds: number }

export interface Verifier {
  /** The identity of a header verified before (or of everybody, on a public cache). Synchronous: microseconds. */
  recall(authorization: string | undefined): Identity | undefined
  /** Verifies a header. Wrong credentials take longer each time; see login-throttle.ts. Never rejects. */
  verify(authorization: string | undefined, address: string): Promise<LoginResult>
  /** Replaces all users at once; `undefined` makes the cache public. Acts on the next request. */
  replaceUsers(users: readonly User[] | undefined): void
}

export interface VerifierOptions {
  readonly users: readonly User[] | undefined
  readonly throttle: LoginThrottle
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** One user may spell the same credentials in several ways; more than a few thousand is not a user. */
const maxRemembered = 4096

interface Remembered {
  readonly identity: Identity
  readonly user: User
}

/** `delay`: what a wrong login has to wait for before it is answered. */
interface Check {
  readonly result: LoginResult
  readonly delay?: Promise<void>
}

export function createVerifier({ users: initialUsers, throttle, now }: VerifierOptions): Verifier {
  const digestOf = createKeyedHash()
  const hashLine = createHashLine()
  /** Checks under way, by network and login. */
  const checks = new Map<string, Promise<Check>>()
  let users = toMap(initialUsers)
  let decoy = decoyFor(initialUsers)
  const remembered = new Map<string, Remembered>()

  /**
   * Whoever is asked for, a hash is computed if anybody has one: otherwise the time would tell which names exist, and
   * how they are stored.
   */
  async function matches(user: User | undefined, password: string, standing: Standing): Promise<boolean> {
    const isPlainMatch = user?.secret.kind === 'plain' && sameText(digestOf, user.secret.password, password)
    const hash = user?.secret.kind === 'argon2id' ? user.secret.hash : decoy
    const isHashMatch = hash !== undefined && (await hashLine.run(standing, () => verifyArgon2id(hash, password)))
    return user?.secret.kind === 'argon2id' ? isHashMatch : isPlainMatch
  }

  async function check(authorization: string, { name, password }: Credentials, address: string): Promise<Check> {
    const attempt = await throttle.begin(address)
    if (attempt === undefined) return { result: slowDown }
    const user = users?.get(name)
    const isRight = await matches(user, password, attempt.standing)
    // Users may have been replaced meanwhile.
    if (!isRight || user === undefined || users?.get(name) !== user || isExpired(user, now()))
      return { result: { kind: 'unknown', name }, delay: attempt.fail(name) }
    attempt.succeed()
    return { result: { kind: 'known', identity: remember(authorization, user) } }
  }

  function remember(authorization: string, user: User): Identity {
    for (const oldest of remembered.keys()) {
      if (remembered.size < maxRemembered) break
      remembered.delete(oldest)
    }
    const identity: Identity = { name: user.name, access: user.access }
    remembered.set(digestOf(authorization), { identity, user })
    return identity
  }

  return {
    recall(authorization) {
      if (users === undefined) return anyone
      if (authorization === undefined) return undefined
      const known = remembered.get(digestOf(authorization))
      return known !== undefined && !isExpired(known.user, now()) ? known.identity : undefined
    },

    async verify(authorization, address) {
      const recalled = this.recall(authorization)
      if (recalled !== undefined) return { kind: 'known', identity: recalled }
      const credentials = authorization === undefined ? undefined : parseBasicAuthorization(authorization)
      if (credentials === undefined) return { kind: 'unknown', name: undefined }
      // A client sends its first requests on many connections at once, all with the same login: one of them is checked,
      // and the place taken by a wrong one is held for it alone.
      const key = `${networkOf(address)} ${digestOf(authorization!)}`
      const underWay = checks.get(key)
      if (underWay !== undefined) return (await underWay).result
      const checking = check(authorization!, credentials, address).finally(() => checks.delete(key))
      checks.set(key, checking)
      const { result, delay } = await checking
      await delay
      return result
    },

    replaceUsers(replacement) {
      users = toMap(replacement)
      decoy = decoyFor(replacement)
      for (const [digest, { user }] of remembered) {
        const successor = users?.get(user.name)
        if (successor === undefined || !hasSameSecret(user, successor)) remembered.delete(digest)
        else remembered.set(digest, { identity: { name: successor.name, access: successor.access }, user: successor })
      }
    },
  }
}

const slowDown: LoginResult = { kind: 'slow-down', retryAfterSeconds: 5 }

function isExpired({ expires }: User, nowMs: number): boolean {
  return expires !== undefined && nowMs >= expires.getTime()
}

function hasSameSecret({ secret: left }: User, { secret: right }: User): boolean {
  if (left.kind === 'plain') return right.kind === 'plain' && left.password === right.password
  return right.kind === 'argon2id' && left.hash === right.hash
}

function toMap(users: readonly User[] | undefined): ReadonlyMap<string, User> | undefined {
  return users === undefined ? undefined : new Map(users.map((user) => [user.name, user]))
}

/**
 * A hash with the same cost as the users' own, so that unknown names take as long; none is needed where no user has
 * one.
 */
function decoyFor(users: readonly User[] | undefined): string | undefined {
  return users
    ?.map(({ secret }) => (secret.kind === 'argon2id' ? secret.hash : undefined))
    .find((hash) => hash !== undefined)
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
    // libsodium's binding throws for an empty password, which nobody has; one byte takes as long.
    const bytes = Buffer.from(password === '' ? '\0' : password)
    sodium.crypto_pwhash_str_verify_async(padded, bytes, (error, right) =>
      resolve(error === null && right === true && password !== ''),
    )
  })
}
