/** `/<hash part>.ls`: the files of a store object, with where their contents lie in the NAR. */
import type { Router } from 'express'

import { parseHashPart } from '../../nix/store-path.ts'
import { answerReadError, type Origin } from '../origin.ts'
import { createQueue, enqueue, withinDeadline } from '../queue/enqueue.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

/** Each lies in memory whole, tens of megabytes for the largest paths. */
const maxListings = 8
const maxWaiting = 512

export function listingRoute(origin: Origin): Router {
  const queue = createQueue(maxListings, maxWaiting)
  return createRouter().get('/:file', async (request, _response, next) => {
    const hashPart = parseHashPart(/^(.+)\.ls$/.exec(request.params.file)?.[1] ?? '')
    if (hashPart === undefined) return next()
    const reply = replyOf(request)
    reply.route = 'listing'
    if ((await origin.stores.find(hashPart)) === undefined) return reply.refuse(404)
    await enqueue(origin, reply, queue, () => sendListing(origin, reply, hashPart))
  })
}

async function sendListing(origin: Origin, reply: Reply, hashPart: string): Promise<void> {
  const { stores, packer } = origin
  const object = await stores.find(hashPart)
  if (object === undefined) return reply.refuse(404)
  reply.storePath = object.info.storePath
  const letGo = await object.store.leases.hold(object.info.storePath)
  try {
    // Between the look-up and the lease the path may have been collected.
    if ((await stores.find(hashPart)) === undefined) return reply.refuse(404)
    const listing = object.form.kind === 'tree' ? packer.listJson(object.form.realPath) : object.form.list()
    await withinDeadline(origin, reply, listing).then(
      (json) => reply.send(200, 'found', ['Content-Type', 'application/json'], json),
      (error: unknown) => answerReadError(origin, reply, object, error),
    )
    // A client that was told to come again leaves the work behind, and its place and its lease are taken until that is
    // done.
    await listing.catch(() => {})
  } finally {
    letGo()
  }
}
