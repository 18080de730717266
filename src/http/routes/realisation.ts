/** `/realisations/<id>.doi`: the store path of an output of a content-addressed derivation. */
import type { Router } from 'express'

import { parseRealisationId } from '../../nix/realisation.ts'
import type { Origin } from '../origin.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

export function realisationRoute({ stores }: Origin): Router {
  return createRouter().get('/realisations/:file', async (request) => {
    const reply = replyOf(request)
    reply.route = 'realisation'
    const id = /^(.+)\.doi$/.exec(request.params.file)?.[1]
    const realisation =
      id === undefined || parseRealisationId(id) === undefined ? undefined : await stores.findRealisation(id)
    if (realisation === undefined) return reply.refuse(404)
    reply.send(200, 'found', ['Content-Type', 'application/json'], JSON.stringify(realisation))
  })
}
