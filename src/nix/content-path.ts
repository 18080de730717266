/**
 * Computes the store path of a content-addressed object, as Nix does, to check that a path and its content address
 * match.
 *
 *     digest = SHA-256("<type>:sha256:<64 hex>:<storeDir>:<name>"), folded to 20 bytes
 *     type   = text:<refs> | source:<refs>[:self] | output:out
 *
 * Source: Nix manual, "Complete store path calculation"; `StoreDirConfig::makeFixedOutputPathFromCA`.
 */
import { createHash } from 'node:crypto'
import { formatHash, type Hash, parseHash } from './hash.ts'
import { encodeNix32 } from './nix32.ts'
import { nameOf } from './store-path.ts'

export interface ContentAddress {
  readonly method: 'text' | 'flat' | 'nar'
  readonly hash: Hash
}

/** Expects a content address as returned by `parseContentAddress`. */
export function splitContentAddress(contentAddress: string): ContentAddress | undefined {
  const prefix = ['text:', 'fixed:r:', 'fixed:'].find((known) => contentAddress.startsWith(known))
  const hash = prefix === undefined ? undefined : parseHash(contentAddress.slice(prefix.length))
  if (hash === undefined) return undefined
  return { method: prefix === 'text:' ? 'text' : prefix === 'fixed:' ? 'flat' : 'nar', hash }
}

/** Returns undefined if an object of this kind cannot have these references. */
export function computeContentPath(
  storePath: string,
  storeDir: string,
  address: ContentAddress,
  references: readonly string[],
): string | undefined {
  const { method, hash } = address
  const others = references.filter((reference) => reference !== storePath)
  const isSelfReferential = others.length < references.length
  const name = nameOf(storePath)
  if (method === 'text') {
    return isSelfReferential || hash.algorithm !== 'sha256'
      ? undefined
      : makePath(['text', ...others].join(':'), toHex(hash), storeDir, name)
  }
  if (method === 'nar' && hash.algorithm === 'sha256') {
    return makePath(
      ['source', ...others, ...(isSelfReferential ? ['self'] : [])].join(':'),
      toHex(hash),
      storeDir,
      name,
    )
  }
  if (references.length > 0) return undefined
  const inner = createHash('sha256')
    .update(`fixed:out:${method === 'nar' ? 'r:' : ''}${formatHash(hash, 'base16')}:`)
    .digest('hex')
  return makePath('output:out', inner, storeDir, name)
}

function makePath(type: string, hex: string, storeDir: string, name: string): string {
  const digest = createHash('sha256').update(`${type}:sha256:${hex}:${storeDir}:${name}`).digest()
  const folded = new Uint8Array(20)
  for (let at = 0; at < digest.length; at++) folded[at % 20]! ^= digest[at]!
  return `${storeDir}/${encodeNix32(folded)}-${name}`
}

function toHex({ digest }: Hash): string {
  return Buffer.from(digest).toString('hex')
}
