/**
 * Signatures and public keys as text: `cache.example-1:` and the base64 of 64 or 32 bytes.
 * A key's name is anything without a colon (which ends it), white space (which separates signatures in the store's database) and control characters.
 * Source: Nix manual, "nix key"; Ed25519, RFC 8032.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto'

import { decodeBase64 } from './base64.ts'

/** Ed25519's, in bytes. Verifying is Node's part, since clients do it that have nothing else; signing is libsodium's (secret-key.ts). */
const signatureBytes = 64
const publicKeyBytes = 32

const keyNamePattern = /^[^\s:\p{Cc}]+$/u

export function isKeyName(text: string): boolean {
  return keyNamePattern.test(text)
}

/** Whether Nix takes it for a signature: a key name and 64 bytes. One that it does not take spoils the whole narinfo, so it must not be served. */
export function isSignature(text: string): boolean {
  return splitNamed(text, signatureBytes) !== undefined
}

/** Whether `text` is a public key `name:base64`, as `trusted-public-keys` lists them. */
export function isPublicKey(text: string): boolean {
  return splitNamed(text, publicKeyBytes) !== undefined
}

/** Whether `signature` was made over `fingerprint` by the key of that name. False as well when either is malformed or the names differ. */
export function verifySignature(publicKey: string, fingerprint: string, signature: string): boolean {
  const key = splitNamed(publicKey, publicKeyBytes)
  const made = splitNamed(signature, signatureBytes)
  if (key === undefined || made === undefined || key.name !== made.name) return false
  return verify(null, Buffer.from(fingerprint), keyObjectOf(publicKey, key.bytes), made.bytes)
}

/** Making one takes as long as verifying does, and the same few keys come again and again. */
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
