/** `/<hash part>.ls`: the files of a store object, with where their contents lie in the NAR. */
import type { Router } from 'express'

import { parseHashPart } from '../../nix/store-path.ts'
import { answerPackingError, type Origin } from '../origin.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

export function listingRoute(origin: Origin): Router {
  const { store, packer } = origin
  return createRouter().get('/:file', async (request, _response, next) => {
    const hashPart = parseHashPart(/^(.+)\.ls$/.exec(request.params.file)?.[1] ?? '')
    if (hashPart === undefined) return next()
    const reply = replyOf(request)
    reply.route = 'listing'
    const info = store.findPathInfo(hashPart)
    if (info === undefined) return reply.refuse(404)
    const letGo = await store.leases.hold(info.storePath)
    try {
      // Between the look-up and the lease the path may have been collected.
      if (store.findPathInfo(hashPart) === undefined) return reply.refuse(404)
      const listing = await packer.listJson(store.realPathOf(info.storePath))
      reply.send(200, 'found', ['Content-Type', 'application/json'], listing)
    } catch (error) {
      answerPackingError(origin, reply, info, error)
    } finally {
      letGo()
    }
  })
}
