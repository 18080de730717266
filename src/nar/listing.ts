/**
 * The `.ls` listing of a NAR: its tree, with the offset of each file's content in the uncompressed NAR.
 * `{"version":1,"root":{"type":"directory","entries":{"README":{"type":"regular","size":12,"narOffset":312}}}}`
 * Names and targets are bytes, but JSON has only text. Bytes that are not UTF-8 are encoded like Python's
 * `surrogateescape` (0xff as `\udcff`), which is lossless and keeps names distinct. Nix itself cannot write a listing
 * of such a tree.
 * Source: Nix, "NAR listing" (written by `write-nar-listing=true`); PEP 383.
 */
import { isAscii, isUtf8 } from 'node:buffer'
import { EntryKind, type Layout } from './layout.ts'

export type NarListing =
  | { readonly type: 'regular'; readonly size: number; readonly executable?: true; readonly narOffset: number }
  | { readonly type: 'symlink'; readonly target: string }
  | { readonly type: 'directory'; readonly entries: { readonly [name: string]: NarListing } }

/** Generates the JSON of the `.ls` file in pieces. */
export function* encodeListing(layout: Layout): Generator<string, void> {
  yield '{"version":1,"root":'
  for (let entry = 0; entry < layout.entries; entry++) {
    const isFirst = entry === 0 || layout.parents[entry] === entry - 1
    const name = entry === 0 ? '' : `${isFirst ? '' : ','}${quote(layout.name(entry))}:`
    yield name + openingOf(layout, entry) + '}'.repeat(closingsOf(layout, entry))
  }
  yield '}'
}

function openingOf(layout: Layout, entry: number): string {
  const kind = layout.kinds[entry]
  if (kind === EntryKind.directory) return '{"type":"directory","entries":{'
  if (kind === EntryKind.symlink) return `{"type":"symlink","target":${quote(layout.target(entry))}`
  const executable = kind === EntryKind.executable ? '"executable":true,' : ''
  return `{"type":"regular","size":${layout.sizes[entry]},${executable}"narOffset":${layout.contentStart(entry)}`
}

/** Number of braces that this entry closes: one if it is not a directory, plus two for each directory that ends. */
function closingsOf(layout: Layout, entry: number): number {
  const nextDepth = entry + 1 < layout.entries ? layout.depths[entry + 1]! : 0
  return 2 * (layout.depths[entry]! - nextDepth + 1) - (layout.kinds[entry] === EntryKind.directory ? 0 : 1)
}

/** Formats a name or target as a JSON string. */
export function quote(bytes: Buffer): string {
  if (isAscii(bytes)) return JSON.stringify(bytes.toString('latin1'))
  return JSON.stringify(isUtf8(bytes) ? bytes.toString() : escapeSurrogates(bytes))
}

/** Maps each byte that is not part of a UTF-8 sequence to U+DC00 + byte, which `JSON.stringify` escapes. */
function escapeSurrogates(bytes: Buffer): string {
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find((count) => at + count <= bytes.length && isUtf8(bytes.subarray(at, at + count)))
    text += length === undefined ? String.fromCharCode(0xdc00 + bytes[at]!) : bytes.toString('utf8', at, at + length)
    at += length ?? 1
  }
  return text
}
