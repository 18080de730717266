/** This machine's Nix store as far as the relay needs it. Without one, or one that cannot be read, it does without. */
import {
  hashPartOf,
  type LocalStore,
  type Log,
  openLocalStore,
  type StoreObject,
  silentLog,
} from '../../../src/index.ts'
import type { NixStorePlace } from '../nix-store.ts'

export interface LocalPaths extends AsyncDisposable {
  readonly store: LocalStore | undefined
  find(hashPart: string): StoreObject | undefined
  isHere(storePath: string): boolean
}

export async function openLocalPaths(place: NixStorePlace, log: Log): Promise<LocalPaths> {
  const store = await openLocalStore({
    ...place,
    storeDir: place.dir,
    realStoreDir: place.realDir,
    leases: { narInfoSeconds: 600, maxPaths: 100_000 },
    log: silentLog,
  }).catch((error: Error) => {
    log.info({ reason: error.message }, 'Goes on without the Nix store of this machine: there are no deltas')
    return undefined
  })
  const find = (hashPart: string): StoreObject | undefined => {
    try {
      return store?.find(hashPart) as StoreObject | undefined
    } catch {
      return undefined
    }
  }
  return {
    store,
    find,
    isHere: (storePath) => find(hashPartOf(storePath))?.info.storePath === storePath,
    [Symbol.asyncDispose]: async () => await store?.[Symbol.asyncDispose](),
  }
}
