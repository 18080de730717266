/** The setting "publish" as the cache takes it. */
import type { PublishPolicy } from '../../src/index.ts'
import type { ConfigFile } from './schema.ts'

/** `undefined`: everything is published. */
export function toPublish(
  values: ConfigFile['publish'],
  toAbsolute: (path: string) => string,
): PublishPolicy | undefined {
  const { roots, names, signedBy } = values ?? {}
  const deny = names?.deny ?? []
  if (roots === undefined && signedBy === undefined && deny.length === 0) return undefined
  return { roots: roots?.map(toAbsolute), deny, signedBy }
}
