/**
 * Narinfos rendered and remembered. Signing takes 20 us and a look-up 30 us, a remembered answer none of it; it is used only while
 * the store's generation stands still, and looked up afresh otherwise, so that a path which came or went is seen by the very next request.
 */

import type { Larder } from '../larder/larder.ts'
import { formatFingerprint } from '../nix/fingerprint.ts'
import { formatNarInfo, type NarInfo } from '../nix/nar-info.ts'
import type { PathInfo } from '../nix/path-info.ts'
import type { SecretKey } from '../nix/secret-key.ts'
import { isSignature } from '../nix/signature.ts'
import type { Store } from '../store/store.ts'
import { formatNarUrl } from './target.ts'

export interface CatalogueEntry {
  readonly info: PathInfo
  readonly narInfo: NarInfo
  /** The narinfo as sent. */
  readonly text: string
}

export interface Catalogue {
  /** @throws {Fault} store-unavailable */
  find(hashPart: string): CatalogueEntry | undefined
  /** As `find`, for those who do not need the narinfo. @throws {Fault} store-unavailable */
  findInfo(hashPart: string): PathInfo | undefined
  /** Signs with other keys from now on. */
  replaceKeys(keys: readonly SecretKey[]): void
}

/** At some 1.5 KB an entry, 30 MB at the most. */
const maxEntries = 20_000

interface Remembered extends CatalogueEntry {
  generation: number
}

export function createCatalogue(store: Store, larder: Larder | undefined, initialKeys: readonly SecretKey[]): Catalogue {
  const remembered = new Map<string, Remembered>()
  let keys = initialKeys

  function render(info: PathInfo, generation: number): Remembered {
    const compressed = larder?.find(info.narHash)
    const fingerprint = formatFingerprint(info)
    const narInfo: NarInfo = {
      ...info,
      url: formatNarUrl(hashPartOf(info, store.storeDir), info.narHash, larder?.recipe),
      compression: larder === undefined ? 'none' : 'zstd',
      fileHash: larder === undefined ? info.narHash : compressed?.fileHash,
      fileSize: larder === undefined ? info.narSize : compressed?.fileSize,
      system: systemOf(info),
      // One malformed line would make newer clients refuse the whole narinfo.
      signatures: [...new Set([...info.signatures.filter(isSignature), ...keys.map((key) => key.sign(fingerprint))])],
    }
    return { info, narInfo, text: formatNarInfo(narInfo), generation }
  }

  const systemOf = ({ deriver }: PathInfo) => (deriver === undefined ? undefined : store.findSystem(deriver))

  /** The compressed size became known since the narinfo was rendered. */
  const isOutdated = ({ narInfo }: Remembered) => narInfo.fileHash === undefined && larder?.find(narInfo.narHash) !== undefined

  return {
    find(hashPart) {
      const generation = store.generation()
      const known = remembered.get(hashPart)
      if (known !== undefined && known.generation === generation && !isOutdated(known)) return known
      const info = store.findPathInfo(hashPart)
      if (info === undefined) {
        remembered.delete(hashPart)
        return undefined
      }
      if (known !== undefined && !isOutdated(known) && isSame(known.info, info) && known.narInfo.system === systemOf(info)) {
        known.generation = generation
        return known
      }
      if (remembered.size >= maxEntries) remembered.clear()
      const entry = render(info, generation)
      remembered.set(hashPart, entry)
      return entry
    },
    findInfo(hashPart) {
      const known = remembered.get(hashPart)
      return known !== undefined && known.generation === store.generation() ? known.info : store.findPathInfo(hashPart)
    },
    replaceKeys(replacement) {
      keys = replacement
      remembered.clear()
    },
  }
}

function hashPartOf({ storePath }: PathInfo, storeDir: string): string {
  return storePath.slice(storeDir.length + 1, storeDir.length + 33)
}

function isSame(left: PathInfo, right: PathInfo): boolean {
  return (
    left.storePath === right.storePath &&
    left.narHash === right.narHash &&
    left.narSize === right.narSize &&
    left.deriver === right.deriver &&
    left.contentAddress === right.contentAddress &&
    left.registrationTime === right.registrationTime &&
    left.ultimate === right.ultimate &&
    left.references.join() === right.references.join() &&
    left.signatures.join() === right.signatures.join()
  )
}
