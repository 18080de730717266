/**
 * The `CA` field: how a store path is derived from the object's content. A content-addressed path needs no signature.
 *
 *     text:sha256:1b8m03r6…                  a file made by `builtins.toFile`, or a derivation
 *     fixed:r:sha256:1b8m03r6…               hashed as a NAR
 *     fixed:sha256:1b8m03r6…                 a flat file, hashed as is
 *
 * Source: Nix manual, "Content-addressing store objects".
 */
import { formatHash, parseHash } from './hash.ts'

const pattern = /^(text:|fixed:(?:r:)?)([a-z0-9]+:.+)$/

/** Normalizes to the form that Nix writes (hash in Nix32), whatever the input encoding. SRI is not accepted. */
export function parseContentAddress(text: string): string | undefined {
  const parts = pattern.exec(text)
  const hash = parts === null ? undefined : parseHash(parts[2]!)
  if (hash === undefined || (parts![1] === 'text:' && hash.algorithm !== 'sha256')) return undefined
  return `${parts![1]}${formatHash(hash, 'nix32')}`
}
