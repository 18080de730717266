/** argon2id, as libsodium writes it: `$argon2id$v=19$m=65536,t=2,p=1$<salt>$<hash>`. */
import sodium from 'sodium-native'

/**
 * With libsodium's "interactive" costs, 64 MiB and some 50 ms: a right password is verified once and then remembered,
 * while each wrong one costs the server the same memory, and 64 MiB is what a small box can spare a few times over.
 * Passwords that Burrow makes have 190 bits and need no more.
 */
export function hashPassword(password: string): Promise<string> {
  const output = Buffer.alloc(sodium.crypto_pwhash_STRBYTES)
  const secret = Buffer.from(password)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  sodium.crypto_pwhash_str_async(
    output,
    secret,
    sodium.crypto_pwhash_OPSLIMIT_INTERACTIVE,
    sodium.crypto_pwhash_MEMLIMIT_INTERACTIVE,
    (error) => {
      sodium.sodium_memzero(secret)
      if (error === null) resolve(output.toString('latin1', 0, output.indexOf(0)))
      else reject(error)
    },
  )
  return promise
}
