/** What a delta of a store object can start from. */
import { isWorthTrying, minNarBytes } from '../../delta/worth.ts'
import { ignoreLate } from '../../ignore-late.ts'
import type { Larder } from '../../larder/larder.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { hashPartOf, nameOf } from '../../nix/store-path.ts'
import { type Base, maxBases } from '../../relay/protocol.ts'
import type { CatalogueEntry } from '../narinfo/catalogue.ts'
import type { Origin } from '../origin.ts'
import { formatDeltaUrl } from '../target.ts'
import type { VersionIndex } from './version-index.ts'

/** The latest versions first; those that are not on this machine are left out. */
export function findBases(origin: Origin, versions: VersionIndex, { object }: CatalogueEntry): Base[] {
  const { larder, catalogue } = origin
  const bases: Base[] = []
  if (larder?.deltaRecipe(object.info.narHash) === undefined || object.info.narSize < minNarBytes) return bases
  for (const hashPart of versions.find(object.info.storePath)) {
    if (bases.length === maxBases) break
    const found = catalogue.findObject(hashPart)
    const base = ignoreLate(found)?.info
    if (base === undefined || base.narHash === object.info.narHash) continue
    if (isWorthTrying(toCandidate(base), toCandidate(object.info)))
      bases.push(toBase(larder, object.info, hashPart, base))
  }
  return bases
}

const toCandidate = ({ storePath, narSize }: PathInfo) => ({ name: nameOf(storePath), narSize })

function toBase(larder: Larder, target: PathInfo, hashPart: string, { narHash }: PathInfo): Base {
  const recipe = larder.deltaRecipe(narHash)!
  const kept = larder.findKept(target.narHash, recipe)
  return {
    hashPart,
    narHash,
    url: formatDeltaUrl(hashPartOf(target.storePath), target.narHash, hashPart, recipe),
    ...(kept && { deltaSize: kept.fileSize }),
  }
}
