/**
 * This machine's Nix store as the depot sees it: conflicts are found in its records, and what a pushed path refers to
 * is copied from it.
 */
import { NarParts } from '../../nar/nar-parts.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import type { Store, StoreObject } from '../store.ts'
import type { LocalSource } from './depot-options.ts'

const partBytes = 1024 * 1024

export function createLocalSource(store: Store): LocalSource {
  const find = async (storePath: string): Promise<StoreObject | undefined> => {
    const object = await store.find(hashPartOf(storePath))
    return object?.info.storePath === storePath ? object : undefined
  }
  return {
    // A store that cannot be read knows nothing; a push does not wait for it.
    describeLocal: (storePaths) =>
      Promise.all(storePaths.map(async (storePath) => (await find(storePath).catch(() => undefined))?.info)),
    async openLocal(storePath) {
      const object = await find(storePath)
      if (object?.form.kind !== 'tree') return undefined
      const release = await store.leases.hold(storePath)
      return { compression: 'none', body: readParts(object.form.realPath, release) }
    },
  }
}

/** The depot compares hash and size with the record. */
async function* readParts(realPath: string, release: () => void): AsyncGenerator<Uint8Array> {
  try {
    const parts = await NarParts.open(realPath, partBytes)
    for (let index = 0; index < parts.count; index++) yield await parts.read(index)
  } finally {
    release()
  }
}
