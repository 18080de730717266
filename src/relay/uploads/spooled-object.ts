/** A NAR in the spool as a store with one object, for the push client. */
import { createReadStream } from 'node:fs'

import type { ByteRange } from '../../chunks.ts'
import { type NarInfo, toPathInfo } from '../../nix/nar-info.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import { createFileForm } from '../../store/file-form.ts'
import { noLeases, type Store, type StoreObject } from '../../store/store.ts'
import { streamReader } from '../../stream-reader.ts'
import type { SpooledNar } from './nar-spool.ts'

export function createSpooledStore(storeDir: string, narInfo: NarInfo, { file, narHash, narSize }: SpooledNar): Store {
  const open = async (range?: ByteRange) =>
    streamReader(createReadStream(file, range === undefined ? {} : { start: range.start, end: range.end - 1 }))
  const { storePath } = narInfo
  const store: Store = {
    name: 'spool',
    storeDir,
    leases: noLeases,
    generation: () => 0,
    find: (hashPart) => (hashPart === hashPartOf(storePath) ? object : undefined),
    findSystem: () => undefined,
    openLog: async () => undefined,
    findRealisation: () => undefined,
    withdraw() {},
    health: () => ({
      name: 'spool',
      type: 'directory',
      location: file,
      isReadable: true,
      mode: undefined,
      problem: undefined,
      withdrawn: { now: 0, total: 0 },
      leases: undefined,
    }),
  }
  const object: StoreObject = {
    info: toPathInfo(narInfo),
    form: createFileForm({ compression: 'none', open, fileHash: narHash, fileSize: narSize }, {}),
    store,
    trust: 'as-signed',
  }
  return store
}
