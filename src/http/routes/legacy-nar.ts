/**
 * The NAR URL of Eris and similar caches: `/nar/<hash part>.nar`. Clients cache narinfos for a month, so Burrow answers
 * these URLs after a migration. `.nar.xz` and `.nar.bz2` get a 404: compressed again, they could not be resumed, and after
 * a 404 the client uses its next cache.
 */
import type { Router } from 'express'

import { serveNar } from '../nar/nar-route.ts'
import type { Origin } from '../origin.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

const legacyFile = /^([0-9a-df-np-sv-z]{32})\.nar$/

export function legacyNarRoute(origin: Origin): Router {
  return createRouter().get('/nar/:file', async (request, _response, next) => {
    const hashPart = legacyFile.exec(request.params.file)?.[1]
    if (hashPart === undefined) return next()
    const reply = replyOf(request)
    reply.route = 'nar-legacy'
    const object = await origin.stores.find(hashPart)
    if (object === undefined) return reply.refuse(404)
    await serveNar(origin, reply, {
      route: 'nar',
      hashPart,
      narHash: object.info.narHash.slice('sha256:'.length),
      recipe: undefined,
    })
  })
}
