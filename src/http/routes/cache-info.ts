/** `/nix-cache-info`: a client's first request. Clients cache the answer for days, old ones forever. */
import type { Router } from 'express'

import { formatCacheInfo } from '../../nix/cache-info.ts'
import type { Origin } from '../origin.ts'
import type { Particulars } from '../particulars.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

export function cacheInfoRoute({ stores }: Origin, particulars: () => Particulars): Router {
  return createRouter().get('/nix-cache-info', (request) => {
    const reply = replyOf(request)
    reply.route = 'cache-info'
    const { priority, wantMassQuery } = particulars()
    reply.send(
      200,
      'found',
      ['Content-Type', 'text/x-nix-cache-info'],
      formatCacheInfo({ storeDir: stores.storeDir, priority, wantMassQuery }),
    )
  })
}
