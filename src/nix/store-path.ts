/**
 * Store paths: `/nix/store/iah2ssqwr7r48743cbcv36fnp35mfpms-app-1.0` = store directory, `/`, base name; base name =
 * hash part, `-`, name.
 * Follows the strictest Nix version (2.34): neither the name nor its part before the first `-` may be `.` or `..`.
 * Source: Nix manual, "Store path".
 */

const hashPartLength = 32

const hashPartPattern = /^[0-9a-df-np-sv-z]{32}$/

const baseNamePattern = /^[0-9a-df-np-sv-z]{32}-(?!\.{1,2}(?:-|$))[0-9A-Za-z+\-._?=]{1,211}$/

export function parseHashPart(text: string): string | undefined {
  return hashPartPattern.test(text) ? text : undefined
}

export function parseBaseName(text: string): string | undefined {
  return baseNamePattern.test(text) ? text : undefined
}

/**
 * Accepts a path directly below `storeDir` (which has no trailing slash): nothing deeper, no `.`, `..` or double slash.
 */
export function parseStorePath(text: string, storeDir: string): string | undefined {
  const isInside = text.startsWith(storeDir) && text[storeDir.length] === '/'
  return isInside && baseNamePattern.test(text.slice(storeDir.length + 1)) ? text : undefined
}

/** Expects a valid store path or base name, as do the two functions below. */
export function baseNameOf(storePath: string): string {
  return storePath.slice(storePath.lastIndexOf('/') + 1)
}

export function hashPartOf(storePath: string): string {
  const start = storePath.lastIndexOf('/') + 1
  return storePath.slice(start, start + hashPartLength)
}

/** The part after the hash part: `app-1.0`. */
export function nameOf(storePath: string): string {
  return storePath.slice(storePath.lastIndexOf('/') + 1 + hashPartLength + 1)
}
