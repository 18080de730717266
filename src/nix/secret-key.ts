/**
 * Secret keys for signing store objects: `cache.example-1:` and the base64 of 64 bytes (32-byte seed, 32-byte public
 * key).
 * The bytes are kept in libsodium's guarded memory: locked in RAM, excluded from core dumps, wiped when freed, and
 * inaccessible except while signing.
 * Error messages never contain any part of a key. Source: Nix manual, "nix key generate-secret"; libsodium, "Secure
 * memory".
 */
import sodium from 'sodium-native'

import { decodeBase64 } from './base64.ts'
import { isKeyName } from './signature.ts'

export interface SecretKey {
  readonly name: string
  /** The public key in the format of `trusted-public-keys`: `name:base64`. */
  readonly publicKey: string
  /** Returns `name:base64`, the signature of the fingerprint's UTF-8 bytes. Deterministic; takes about 20 µs. */
  sign(fingerprint: string): string
}

type GuardedBytes = ReturnType<typeof sodium.sodium_malloc>

/** Stored outside the key objects, so that printing, cloning or serializing a key never touches the guarded memory. */
const secrets = new WeakMap<SecretKey, GuardedBytes>()

const seedBytes = sodium.crypto_sign_SEEDBYTES
const secretBytes = sodium.crypto_sign_SECRETKEYBYTES
const base64Length = Math.ceil(secretBytes / 3) * 4

/**
 * Parses the contents of a key file; surrounding white space is ignored. `options.name` replaces the name in the file.
 * @throws {Error} naming the problem and the remedy, never the key
 */
export function parseSecretKey(text: string, options: { readonly name?: string | undefined } = {}): SecretKey {
  const line = text.trim()
  if (line === '') throw new Error('Cannot use the signing key: it is empty. Make one with "burrow keygen NAME"')
  const colon = line.indexOf(':')
  if (colon < 1)
    throw new Error(
      'Cannot use the signing key: it must have the form "NAME:BASE64". Make one with "burrow keygen NAME"',
    )
  const name = line.slice(0, colon)
  requireKeyName(name, 'The name before the colon')
  if (options.name !== undefined) requireKeyName(options.name, 'The name to use instead')
  const base64 = line.slice(colon + 1)
  requireSecretBytes(base64)
  const secret = sodium.sodium_malloc(secretBytes)
  secret.write(base64, 'base64')
  requireMatchingHalves(secret)
  return createKey(options.name ?? name, secret)
}

/** @throws {Error} when the name is not a valid key name */
export function generateSecretKey(name: string): SecretKey {
  requireKeyName(name, 'Its name')
  const secret = sodium.sodium_malloc(secretBytes)
  sodium.crypto_sign_keypair(Buffer.alloc(sodium.crypto_sign_PUBLICKEYBYTES), secret)
  return createKey(name, secret)
}

/**
 * Formats the key as in its file, without a trailing newline. The result is the secret: write it only to a file with
 * mode 0600.
 */
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
    `Cannot use the signing key: ${which} must not be empty or contain white space, colons or control characters. Choose one such as "cache.example-1"`,
  )
}

function requireSecretBytes(base64: string): void {
  const bytes = decodeBase64(base64)
  const length = bytes?.length
  if (bytes !== undefined) sodium.sodium_memzero(bytes)
  if (length === secretBytes) return
  if (length === sodium.crypto_sign_PUBLICKEYBYTES)
    throw new Error(
      'Cannot use the signing key: it has 32 bytes, so it is a public key. Use the file with the secret key',
    )
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
      'Cannot use the signing key: its two halves do not match, so the file is damaged. Copy it again, or make a new key with "burrow keygen NAME"',
    )
  }
}
