/** `/<hash part>.ls`: the files of a store object, with the offsets of their contents in the NAR. */
import type { Router } from 'express'

import { parseHashPart } from '../../nix/store-path.ts'
import { answerReadError, type Origin } from '../origin.ts'
import { createQueue, enqueue, withinDeadline } from '../queue/enqueue.ts'
import { nosniff } from '../raw-headers.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

/** Each listing is held in memory: tens of megabytes for the largest paths. */
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
  const release = await object.store.leases.hold(object.info.storePath)
  try {
    // The path may have been garbage-collected between the look-up and the lease.
    if ((await stores.find(hashPart)) === undefined) return reply.refuse(404)
    const listing = object.form.kind === 'tree' ? packer.listJson(object.form.realPath) : object.form.list()
    await withinDeadline(origin, reply, listing).then(
      (json) => reply.send(200, 'found', ['Content-Type', 'application/json', ...nosniff], json),
      (error: unknown) => answerReadError(origin, reply, object, error),
    )
    // After a 503 the work continues, and keeps its slot and its lease until it is done.
    await listing.catch(() => {})
  } finally {
    release()
  }
}
