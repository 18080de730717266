/**
 * The `CA` field: how the path of a store object follows from its content, so that it needs no signature.
 *
 *     text:sha256:1b8m03r6…                  a file made by `builtins.toFile`, or a derivation
 *     fixed:r:sha256:1b8m03r6…               hashed as a NAR
 *     fixed:sha256:1b8m03r6…                 a plain file hashed as it is
 *
 * Source: Nix manual, "Content-addressing store objects".
 */
import { formatHash, parseHash } from './hash.ts'

const pattern = /^(text:|fixed:(?:r:)?)([a-z0-9]+:.+)$/

/** In the form which Nix writes (the hash in Nix32), whatever encoding it was read in; SRI is not one of them. */
export function parseContentAddress(text: string): string | undefined {
  const parts = pattern.exec(text)
  const hash = parts === null ? undefined : parseHash(parts[2]!)
  if (hash === undefined || (parts![1] === 'text:' && hash.algorithm !== 'sha256')) return undefined
  return `${parts![1]}${formatHash(hash, 'nix32')}`
}
