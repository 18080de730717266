/**
 * Verifies credentials, for all routes.
 *
 * A password is verified once (argon2id takes tens of milliseconds by design). The `Authorization` header that contained
 * it is then remembered under a keyed hash (BLAKE2b with a random key of this process). So neither passwords nor digests
 * that could be guessed are kept in memory, and the time of a look-up reveals nothing. When the users change, only those
 * that stay the same are still remembered. Expiry is checked on every request.
 */
import sodium from 'sodium-native'
import { networkOf } from './client-address.ts'
import { type Credentials, parseBasicAuthorization } from './credentials.ts'
import { createHashQueue } from './hash-queue.ts'
import type { LoginThrottle, Standing } from './login-throttle.ts'
import { anyone, type Identity, type User } from './user.ts'

export type LoginResult =
  | { readonly kind: 'known'; readonly identity: Identity }
  /** `name`: the user name that was sent. Untrusted text. */
  | { readonly kind: 'unknown'; readonly name: string | undefined }
  | { readonly kind: 'slow-down'; readonly retryAfterSeconds: number }

export interface Verifier {
  /** The identity of a header that was verified before; `anyone` on a public cache. Synchronous: microseconds. */
  recall(authorization: string | undefined): Identity | undefined
  /** Verifies a header. Wrong credentials take longer each time (login-throttle.ts). Never rejects. */
  verify(authorization: string | undefined, address: string): Promise<LoginResult>
  /** Replaces all users at once; `undefined` makes the cache public. Applies from the next request on. */
  replaceUsers(users: readonly User[] | undefined): void
}

export interface VerifierOptions {
  readonly users: readonly User[] | undefined
  readonly throttle: LoginThrottle
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** Headers. The same credentials can be encoded in several ways, but no honest client uses thousands of them. */
const maxRemembered = 4096

interface Remembered {
  readonly identity: Identity
  readonly user: User
}

/** `delay`: resolves when a wrong login may be answered. */
interface Check {
  readonly result: LoginResult
  readonly delay?: Promise<void>
}

export function createVerifier({ users: initialUsers, throttle, now }: VerifierOptions): Verifier {
  const digestOf = createKeyedHash()
  const hashQueue = createHashQueue()
  /** Running checks, by network and login. */
  const checks = new Map<string, Promise<Check>>()
  let users = toMap(initialUsers)
  let decoy = decoyFor(initialUsers)
  const remembered = new Map<string, Remembered>()

  /**
   * If any user has a hash, one is computed for every name. Otherwise the time would reveal which names exist, and how
   * their passwords are stored.
   */
  async function matches(user: User | undefined, password: string, standing: Standing): Promise<boolean> {
    const isPlainMatch = user?.secret.kind === 'plain' && sameText(digestOf, user.secret.password, password)
    const hash = user?.secret.kind === 'argon2id' ? user.secret.hash : decoy
    const isHashMatch = hash !== undefined && (await hashQueue.run(standing, () => verifyArgon2id(hash, password)))
    return user?.secret.kind === 'argon2id' ? isHashMatch : isPlainMatch
  }

  async function check(authorization: string, { name, password }: Credentials, address: string): Promise<Check> {
    const attempt = await throttle.begin(address)
    if (attempt === undefined) return { result: slowDown }
    const user = users?.get(name)
    const isRight = await matches(user, password, attempt.standing)
    // Users may have been replaced in the meantime.
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
      // A client sends its first requests over many connections at once, all with the same login: it is checked once,
      // and a wrong one takes one slot.
      const key = `${networkOf(address)} ${digestOf(authorization!)}`
      const running = checks.get(key)
      if (running !== undefined) return (await running).result
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
 * A hash with the same cost as those of the users, so that unknown names take as long. Undefined when no user has a hash.
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

/** Compares in constant time, also for different lengths. */
function sameText(digestOf: (text: string) => string, left: string, right: string): boolean {
  return sodium.sodium_memcmp(Buffer.from(digestOf(left), 'latin1'), Buffer.from(digestOf(right), 'latin1'))
}

function verifyArgon2id(hash: string, password: string): Promise<boolean> {
  const padded = Buffer.alloc(sodium.crypto_pwhash_STRBYTES)
  if (padded.write(hash, 'latin1') !== hash.length || hash.length >= padded.length) return Promise.resolve(false)
  return new Promise((resolve) => {
    // libsodium's binding throws for an empty password, which no user has. One byte takes as long.
    const bytes = Buffer.from(password === '' ? '\0' : password)
    sodium.crypto_pwhash_str_verify_async(padded, bytes, (error, right) =>
      resolve(error === null && right === true && password !== ''),
    )
  })
}
