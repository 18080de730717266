/**
 * The tokens of a NAR: S(x) = u64 little-endian length, bytes, zero padding to a multiple of 8.
 *   nar  = S("nix-archive-1") node
 *   node = S("(") S("type")
 *          ( S("regular") [S("executable") S("")] S("contents") S(bytes)
 *          | S("symlink") S("target") S(target)
 *          | S("directory") { S("entry") S("(") S("name") S(name) S("node") node S(")") } )
 *          S(")")
 * Source: Nix manual, "Nix Archive (NAR) format". All sizes were compared with `nix-store --dump`.
 */

/** Length in bytes including padding. */
export function padded(length: number): number {
  const over = length % 8
  return over === 0 ? length : length + 8 - over
}

export function encodeTokens(...texts: readonly string[]): Buffer {
  return Buffer.concat(
    texts.map((text) => {
      const token = Buffer.alloc(8 + padded(text.length))
      token.writeUInt8(text.length, 0)
      token.write(text, 8, 'latin1')
      return token
    }),
  )
}

/** Writes a length as u64. Lengths are below 2^53. */
export function writeLength(into: Uint8Array, at: number, length: number): void {
  let low = length >>> 0
  let high = (length - low) / 0x1_0000_0000
  for (let i = 0; i < 4; i++) {
    into[at + i] = low & 255
    into[at + 4 + i] = high & 255
    low >>>= 8
    high >>>= 8
  }
}

export const magic = encodeTokens('nix-archive-1')
/** Precedes the length of an entry's name. */
export const entryOpening = encodeTokens('entry', '(', 'name')
/** Follows the name: the entry's node starts. */
export const nodeWord = encodeTokens('node')
/** Start of a node, up to the length of its content or target, by type. */
export const directoryOpening = encodeTokens('(', 'type', 'directory')
export const regularOpening = encodeTokens('(', 'type', 'regular', 'contents')
export const executableOpening = encodeTokens('(', 'type', 'regular', 'executable', '', 'contents')
export const symlinkOpening = encodeTokens('(', 'type', 'symlink', 'target')
/** Closes a node, and also the entry that contains it. */
export const closing = encodeTokens(')')
