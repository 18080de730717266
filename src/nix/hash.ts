/**
 * Hashes as text, in each form that Nix reads or writes:
 *
 *     sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad        base16 (the store's database)
 *     sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s                    nix32  (narinfos, fingerprints)
 *     sha256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=                            base64
 *     sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=                            SRI    (JSON)
 *
 * After a colon, the length determines the encoding. Source: Nix, `Hash::parseAny`; W3C Subresource Integrity.
 */
import { decodeBase64 } from './base64.ts'
import { decodeNix32, encodeNix32, nix32Length } from './nix32.ts'

export type HashAlgorithm = 'md5' | 'sha1' | 'sha256' | 'sha512'

export type HashEncoding = 'base16' | 'nix32' | 'base64' | 'sri'

export interface Hash {
  readonly algorithm: HashAlgorithm
  /** 16, 20, 32 or 64 bytes. */
  readonly digest: Uint8Array
}

const digestBytes: Readonly<Record<HashAlgorithm, number>> = { md5: 16, sha1: 20, sha256: 32, sha512: 64 }

const hashPattern = /^(md5|sha1|sha256|sha512)([:-])([0-9A-Za-z+/=]+)$/

/** Accepts upper case in base16 only, and missing padding in SRI only. */
export function parseHash(text: string): Hash | undefined {
  const parts = hashPattern.exec(text)
  if (parts === null) return undefined
  const algorithm = parts[1] as HashAlgorithm
  const digest =
    parts[2] === ':' ? decodeByLength(parts[3]!, digestBytes[algorithm]) : decodeBase64(parts[3]!, 'optional')
  return digest?.length === digestBytes[algorithm] ? { algorithm, digest } : undefined
}

export function formatHash({ algorithm, digest }: Hash, encoding: HashEncoding): string {
  switch (encoding) {
    case 'nix32':
      return `${algorithm}:${encodeNix32(digest)}`
    case 'base16':
      return `${algorithm}:${asBuffer(digest).toString('hex')}`
    case 'base64':
      return `${algorithm}:${asBuffer(digest).toString('base64')}`
    case 'sri':
      return `${algorithm}-${asBuffer(digest).toString('base64')}`
  }
}

/** A SHA-256 as Burrow has it everywhere: `sha256:<52 Nix32>`. */
export function formatSha256(digest: Uint8Array): string {
  return `sha256:${encodeNix32(digest)}`
}

/**
 * Converts any textual SHA-256 (typically the database's `sha256:<64 hex>`) to `sha256:<52 Nix32>`. Returns undefined
 * for anything else.
 */
export function toNix32Sha256(text: string): string | undefined {
  const hash = parseHash(text)
  return hash?.algorithm === 'sha256' ? formatHash(hash, 'nix32') : undefined
}

function decodeByLength(text: string, byteLength: number): Uint8Array | undefined {
  switch (text.length) {
    case byteLength * 2:
      return /^[0-9A-Fa-f]+$/.test(text) ? Buffer.from(text, 'hex') : undefined
    case nix32Length(byteLength):
      return decodeNix32(text, byteLength)
    default:
      return decodeBase64(text)
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
