/**
 * Nix's base-32: 0-9 and a-z without e, o, t, u. The bytes form one little-endian number, written with the most
 * significant digit first, so the last character holds the five lowest bits of the first byte. `sha256("abc")` is
 * `1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s`: 52 characters, the first of which holds a single bit.
 * Source: Nix, base-n / nix32.
 */

const alphabet = '0123456789abcdfghijklmnpqrsvwxyz'

const valueOfCode = new Int8Array(128).fill(-1)
for (let value = 0; value < alphabet.length; value++) valueOfCode[alphabet.charCodeAt(value)] = value

/** Length of the encoding of `byteLength` bytes. */
export function nix32Length(byteLength: number): number {
  return Math.ceil((byteLength * 8) / 5)
}

export function encodeNix32(bytes: Uint8Array): string {
  let text = ''
  for (let digit = nix32Length(bytes.length) - 1; digit >= 0; digit--) {
    const bit = digit * 5
    const at = bit >> 3
    // Reading past the last byte yields undefined, which counts as 0 here.
    text += alphabet[(((bytes[at + 1]! << 8) | bytes[at]!) >> (bit & 7)) & 31]
  }
  return text
}

/**
 * Decodes exactly `byteLength` bytes. Returns undefined for any other length, for characters outside the alphabet
 * (including upper case) and for non-zero unused bits.
 */
export function decodeNix32(text: string, byteLength: number): Uint8Array | undefined {
  if (text.length !== nix32Length(byteLength)) return undefined
  const bytes = new Uint8Array(byteLength)
  for (let digit = 0; digit < text.length; digit++) {
    const value = valueOfCode[text.charCodeAt(text.length - 1 - digit)] ?? -1
    if (value < 0) return undefined
    const bit = digit * 5
    const at = bit >> 3
    const shifted = value << (bit & 7)
    bytes[at]! |= shifted & 0xff
    const high = shifted >> 8
    if (at + 1 < byteLength) bytes[at + 1]! |= high
    else if (high !== 0) return undefined
  }
  return bytes
}
