/**
 * Signatures and public keys as text: `cache.example-1:` and the base64 of 64 or 32 bytes.
 * A key name must not contain colons (the separator), white space (separates signatures in the store's database) or
 * control characters.
 * Source: Nix manual, "nix key"; Ed25519, RFC 8032.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto'

import { decodeBase64 } from './base64.ts'

/** Sizes of Ed25519, in bytes. Node verifies, because clients have nothing else; libsodium signs (secret-key.ts). */
const signatureBytes = 64
const publicKeyBytes = 32

const keyNamePattern = /^[^\s:\p{Cc}]+$/u

export function isKeyName(text: string): boolean {
  return keyNamePattern.test(text)
}

/**
 * Returns true if Nix accepts it as a signature: a key name and 64 bytes. Nix rejects the whole narinfo for one
 * malformed signature, so such a signature must not be served.
 */
export function isSignature(text: string): boolean {
  return splitNamed(text, signatureBytes) !== undefined
}

/**
 * Returns true if `signature` was made over `fingerprint` with the key of that name. Returns false if either is
 * malformed or the names differ.
 */
export function verifySignature(publicKey: string, fingerprint: string, signature: string): boolean {
  const key = splitNamed(publicKey, publicKeyBytes)
  const made = splitNamed(signature, signatureBytes)
  if (key === undefined || made === undefined || key.name !== made.name) return false
  return verify(null, Buffer.from(fingerprint), keyObjectOf(publicKey, key.bytes), made.bytes)
}

/** Cache of key objects: creating one takes as long as verifying, and there are only a few keys. */
const keyObjects = new Map<string, KeyObject>()
const maxKeyObjects = 64

function keyObjectOf(publicKey: string, bytes: Buffer): KeyObject {
  let key = keyObjects.get(publicKey)
  if (key === undefined) {
    key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }, format: 'jwk' })
    if (keyObjects.size >= maxKeyObjects) keyObjects.clear()
    keyObjects.set(publicKey, key)
  }
  return key
}

function splitNamed(text: string, byteLength: number): { name: string; bytes: Buffer } | undefined {
  const colon = text.indexOf(':')
  const name = text.slice(0, Math.max(colon, 0))
  const bytes = isKeyName(name) ? decodeBase64(text.slice(colon + 1)) : undefined
  return bytes?.length === byteLength ? { name, bytes } : undefined
}
