/** What came from an upstream, into the depot: from then on it is ours to sign. */
import { createReadStream } from 'node:fs'

import { Fault } from '../../faults.ts'
import type { Depot } from '../depot/depot.ts'
import type { VerifiedNar } from './spool.ts'

const chunkBytes = 512 * 1024

export function keepInDepot(depot: Depot, upstream: string): (nar: VerifiedNar) => Promise<void> {
  const who = { user: upstream, via: 'burrow' } as const
  return async ({ narInfo, file }) => {
    const { storePath, narHash, narSize, references, deriver, signatures, contentAddress, compression } = narInfo
    const fetched = await depot.fetchNar(
      { narHash, narSize, compression, who },
      createReadStream(file, { highWaterMark: chunkBytes }),
    )
    if (fetched.status === 'refused') throw new Fault('larder-unwritable', fetched.reason)
    const path = { storePath, narHash, narSize, references, deriver, signatures, contentAddress }
    const registered = await depot.register({ paths: [path], who, isAtomic: true, references: 'any' })
    const [verdict] = 'status' in registered ? [registered] : registered
    if (verdict?.status === 'refused') throw new Fault('larder-unwritable', verdict.reason)
  }
}
