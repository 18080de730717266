/**
 * Secret keys that sign store objects: `cache.example-1:` and the base64 of 64 bytes, 32 of seed and 32 of public key.
 * The bytes lie in guarded memory of libsodium: locked in RAM, left out of core dumps, wiped when freed, and inaccessible except while signing.
 * No error message contains any part of a key. Source: Nix manual, "nix key generate-secret"; libsodium, "Secure memory".
 */
import sodium from 'sodium-native'

import { decodeBase64 } from './base64.ts'
import { isKeyName } from './signature.ts'

export interface SecretKey {
  readonly name: string
  /** The public half as clients list it in `trusted-public-keys`: `name:base64`. */
  readonly publicKey: string
  /** `name:base64` over the UTF-8 bytes of the fingerprint. Deterministic; some 20 us. */
  sign(fingerprint: string): string
}

type GuardedBytes = ReturnType<typeof sodium.sodium_malloc>

/** Beside the keys rather than in them, so that printing, cloning or serialising a key never touches the memory. */
const secrets = new WeakMap<SecretKey, GuardedBytes>()

const seedBytes = sodium.crypto_sign_SEEDBYTES
const secretBytes = sodium.crypto_sign_SECRETKEYBYTES
const base64Length = Math.ceil(secretBytes / 3) * 4

/**
 * The contents of a key file; white space around it does not matter. `options.name` replaces the name in the file.
 * @throws {Error} naming the problem and the remedy, never the key
 */
export function parseSecretKey(text: string, options: { readonly name?: string | undefined } = {}): SecretKey {
  const line = text.trim()
  if (line === '') throw new Error('Cannot use the signing key: it is empty. Make one with "burrow keygen NAME"')
  const colon = line.indexOf(':')
  if (colon < 1) throw new Error('Cannot use the signing key: it must have the form "NAME:BASE64". Make one with "burrow keygen NAME"')
  const name = line.slice(0, colon)
  requireKeyName(name, 'The name before the colon')
  if (options.name !== undefined) requireKeyName(options.name, 'The name given for it')
  const base64 = line.slice(colon + 1)
  requireSecretBytes(base64)
  const secret = sodium.sodium_malloc(secretBytes)
  secret.write(base64, 'base64')
  requireMatchingHalves(secret)
  return createKey(options.name ?? name, secret)
}

/** @throws {Error} when the name is not fit for a key */
export function generateSecretKey(name: string): SecretKey {
  requireKeyName(name, 'Its name')
  const secret = sodium.sodium_malloc(secretBytes)
  sodium.crypto_sign_keypair(Buffer.alloc(sodium.crypto_sign_PUBLICKEYBYTES), secret)
  return createKey(name, secret)
}

/** The key as its file holds it, without a final newline. The result is the secret: write it to a 0600 file and nowhere else. */
export function formatSecretKey(key: SecretKey): string {
  const secret = secrets.get(key)
  if (secret === undefined) throw new Error('Cannot format the signing key: it was not made by this module')
  return `${key.name}:${reading(secret, () => secret.toString('base64'))}`
}

export function publicKeyOf(key: SecretKey): string {
  return key.publicKey
}

function createKey(name: string, secret: GuardedBytes): SecretKey {
  const publicKey = `${name}:${secret.toString('base64', seedBytes)}`
  const signature = Buffer.alloc(sodium.crypto_sign_BYTES)
  const key: SecretKey = Object.freeze({
    name,
    publicKey,
    sign(fingerprint: string) {
      const message = Buffer.from(fingerprint)
      reading(secret, () => sodium.crypto_sign_detached(signature, message, secret))
      return `${name}:${signature.toString('base64')}`
    },
  })
  sodium.sodium_mprotect_noaccess(secret)
  secrets.set(key, secret)
  return key
}

function reading<T>(secret: GuardedBytes, use: () => T): T {
  sodium.sodium_mprotect_readonly(secret)
  try {
    return use()
  } finally {
    sodium.sodium_mprotect_noaccess(secret)
  }
}

function requireKeyName(name: string, which: string): void {
  if (isKeyName(name)) return
  throw new Error(
    `Cannot use the signing key: ${which} must not be empty nor contain white space, colons or control characters. Choose one such as "cache.example-1"`,
  )
}

function requireSecretBytes(base64: string): void {
  const bytes = decodeBase64(base64)
  const length = bytes?.length
  if (bytes !== undefined) sodium.sodium_memzero(bytes)
  if (length === secretBytes) return
  if (length === sodium.crypto_sign_PUBLICKEYBYTES)
    throw new Error('Cannot use the signing key: it has 32 bytes, as a public key does. Give the file with the secret half')
  throw new Error(
    `Cannot use the signing key: after the colon it needs ${base64Length} characters of base64 (64 bytes). Copy the key file again, or make a new key with "burrow keygen NAME"`,
  )
}

function requireMatchingHalves(secret: GuardedBytes): void {
  const expected = Buffer.alloc(sodium.crypto_sign_PUBLICKEYBYTES)
  const again = sodium.sodium_malloc(secretBytes)
  sodium.crypto_sign_seed_keypair(expected, again, secret.subarray(0, seedBytes))
  if (!expected.equals(secret.subarray(seedBytes))) {
    throw new Error(
      'Cannot use the signing key: its two halves do not belong together, so the file is damaged. Copy it again, or make a new key with "burrow keygen NAME"',
    )
  }
}
