/**
 * Renders narinfos and caches them in memory. Signing takes 20 us and a look-up 30 us. A cached entry is used only while
 * the stores' generation is the same, and looked up again otherwise, so that the next request sees every path that was
 * added or removed.
 */

import type { Larder } from '../../larder/larder.ts'
import { formatFingerprint } from '../../nix/fingerprint.ts'
import { formatNarInfo, type NarInfo } from '../../nix/nar-info.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import type { SecretKey } from '../../nix/secret-key.ts'
import { isSignature } from '../../nix/signature.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import type { Awaitable, NarForm, StoreObject, Stores } from '../../store/store.ts'
import { fileRecipe, formatNarUrl } from '../target.ts'

export interface CatalogueEntry {
  readonly object: StoreObject
  readonly narInfo: NarInfo
  /** The narinfo as sent. */
  readonly text: string
}

export interface Catalogue {
  /** A promise only where a store needs one. @throws {Fault} store-unavailable; a promise rejects with it */
  find(hashPart: string): Awaitable<CatalogueEntry | undefined>
  /** Like `find` when the narinfo is not needed: the first object that fits. */
  findObject(hashPart: string, fits?: (object: StoreObject) => boolean): Awaitable<StoreObject | undefined>
  /** Signs with other keys from now on. */
  replaceKeys(keys: readonly SecretKey[]): void
}

/** About 1.5 KB each, 30 MB in total. */
const maxEntries = 20_000

interface Remembered extends CatalogueEntry {
  generation: number
}

/** `onReadable` is called when all stores could be read. */
export function createCatalogue(
  stores: Stores,
  larder: Larder | undefined,
  initialKeys: readonly SecretKey[],
  onReadable: () => void,
): Catalogue {
  const remembered = new Map<string, Remembered>()
  let keys = initialKeys

  function render(object: StoreObject, generation: number): Remembered {
    const { info, trust } = object
    const ownSignatures = trust === 'ours' && keys.length > 0 ? signAll(keys, formatFingerprint(info)) : []
    const narInfo: NarInfo = {
      ...info,
      ...offerOf(object),
      system: systemOf(info),
      // Newer clients reject the whole narinfo because of one malformed signature.
      signatures: [...new Set([...info.signatures.filter(isSignature), ...ownSignatures])],
    }
    return { object, narInfo, text: formatNarInfo(narInfo), generation }
  }

  /** A file tree is offered in the form that the larder makes, a stored NAR as it is stored. */
  function offerOf({ info, form }: StoreObject): Pick<NarInfo, 'url' | 'compression' | 'fileHash' | 'fileSize'> {
    const hashPart = hashPartOf(info.storePath)
    if (form.kind === 'file') {
      const { compression, id, fileHash, fileSize } = form
      return {
        url: formatNarUrl(hashPart, info.narHash, compression === 'none' ? undefined : fileRecipe(id)),
        compression,
        fileHash,
        fileSize,
      }
    }
    const url = formatNarUrl(hashPart, info.narHash, larder?.recipe)
    if (larder === undefined) return { url, compression: 'none', fileHash: info.narHash, fileSize: info.narSize }
    const compressed = larder.find(info.narHash)
    return { url, compression: 'zstd', fileHash: compressed?.fileHash, fileSize: compressed?.fileSize }
  }

  const systemOf = ({ deriver }: PathInfo) => (deriver === undefined ? undefined : stores.findSystem(deriver))

  /** The compressed size has become known since the narinfo was rendered. */
  const isOutdated = ({ narInfo }: Remembered) =>
    narInfo.fileHash === undefined && larder?.find(narInfo.narHash) !== undefined

  function renderOrRecall(
    hashPart: string,
    object: StoreObject | undefined,
    generation: number,
  ): Remembered | undefined {
    const known = remembered.get(hashPart)
    if (object === undefined) {
      remembered.delete(hashPart)
      return undefined
    }
    if (
      known !== undefined &&
      !isOutdated(known) &&
      isSame(known.object, object) &&
      known.narInfo.system === systemOf(object.info)
    ) {
      known.generation = generation
      return known
    }
    if (remembered.size >= maxEntries) remembered.clear()
    const entry = render(object, generation)
    remembered.set(hashPart, entry)
    return entry
  }

  return {
    find(hashPart) {
      const generation = stores.generation()
      // It is NaN while one of several stores cannot be read.
      if (!Number.isNaN(generation)) onReadable()
      const known = remembered.get(hashPart)
      if (known !== undefined && known.generation === generation && !isOutdated(known)) return known
      const found = stores.find(hashPart)
      // An asynchronous result may be outdated when it arrives, so it is looked up each time. Only the signed text is
      // reused.
      if (found instanceof Promise) return found.then((object) => renderOrRecall(hashPart, object, Number.NaN))
      return renderOrRecall(hashPart, found, generation)
    },
    findObject(hashPart, fits) {
      const known = remembered.get(hashPart)
      const isCurrent = known !== undefined && known.generation === stores.generation()
      return isCurrent && (fits === undefined || fits(known.object)) ? known.object : stores.find(hashPart, fits)
    },
    replaceKeys(replacement) {
      keys = replacement
      remembered.clear()
    },
  }
}

function signAll(keys: readonly SecretKey[], fingerprint: string): string[] {
  return keys.map((key) => key.sign(fingerprint))
}

function isSame(left: StoreObject, right: StoreObject): boolean {
  return (
    left.store === right.store &&
    left.trust === right.trust &&
    isSameForm(left.form, right.form) &&
    isSameInfo(left.info, right.info)
  )
}

function isSameForm(left: NarForm, right: NarForm): boolean {
  return left.kind === 'file'
    ? right.kind === 'file' &&
        left.id === right.id &&
        left.fileHash === right.fileHash &&
        left.compression === right.compression
    : right.kind === 'tree'
}

function isSameInfo(left: PathInfo, right: PathInfo): boolean {
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
