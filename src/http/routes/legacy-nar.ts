/**
 * The NAR URL of Eris and its like: `/nar/<hash part>.nar`. Clients remember narinfos for a month, so a cache that
 * moves to Burrow goes on answering them. Their `.nar.xz` and `.nar.bz2` are absent: made anew they could not be
 * resumed, and a client that gets a 404 goes to its next cache.
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
