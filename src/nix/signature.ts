/**
 * Signatures and public keys as text: `cache.example-1:` and the base64 of 64 or 32 bytes.
 * A key's name is anything without a colon (which ends it), white space (which separates signatures in the store's database) and control characters.
 * Source: Nix manual, "nix key"; Ed25519, RFC 8032.
 */
import sodium from 'sodium-native'

import { decodeBase64 } from './base64.ts'

const keyNamePattern = /^[^\s:\p{Cc}]+$/u

export function isKeyName(text: string): boolean {
  return keyNamePattern.test(text)
}

/** Whether Nix takes it for a signature: a key name and 64 bytes. One that it does not take spoils the whole narinfo, so it must not be served. */
export function isSignature(text: string): boolean {
  return splitNamed(text, sodium.crypto_sign_BYTES) !== undefined
}

/** Whether `text` is a public key `name:base64`, as `trusted-public-keys` lists them. */
export function isPublicKey(text: string): boolean {
  return splitNamed(text, sodium.crypto_sign_PUBLICKEYBYTES) !== undefined
}

/** Whether `signature` was made over `fingerprint` by the key of that name. False as well when either is malformed or the names differ. */
export function verifySignature(publicKey: string, fingerprint: string, signature: string): boolean {
  const key = splitNamed(publicKey, sodium.crypto_sign_PUBLICKEYBYTES)
  const made = splitNamed(signature, sodium.crypto_sign_BYTES)
  if (key === undefined || made === undefined || key.name !== made.name) return false
  return sodium.crypto_sign_verify_detached(made.bytes, Buffer.from(fingerprint), key.bytes)
}

function splitNamed(text: string, byteLength: number): { name: string; bytes: Buffer } | undefined {
  const colon = text.indexOf(':')
  const name = text.slice(0, Math.max(colon, 0))
  const bytes = isKeyName(name) ? decodeBase64(text.slice(colon + 1)) : undefined
  return bytes?.length === byteLength ? { name, bytes } : undefined
}
