/**
 * `/nar/…`: the NARs that our narinfos refer to, whole or as ranges. Uncompressed ones are packed from the store,
 * compressed ones come from the larder, stored files are sent as they are.
 */
import type { ByteRange } from '../../chunks.ts'
import type { Awaitable, StoreObject } from '../../store/store.ts'
import { answerReadError, type Origin } from '../origin.ts'
import { enqueue, withinDeadline } from '../queue/enqueue.ts'
import type { FairQueue } from '../queue/fair-queue.ts'
import type { Reply } from '../reply.ts'
import type { NarTarget } from '../target.ts'
import { pumpChunks } from './chunk-pump.ts'
import { mayHonourRange, statusByConditions } from './conditions.ts'
import type { Representation } from './nar-form.ts'
import { openWithFirstChunk } from './open-nar.ts'
import { parseRange } from './range.ts'
import { etagOf, fitsTarget, representationOf } from './representation.ts'

/** A NAR in the form that a route needs. It is looked up again after the request has waited. */
export interface Wanted {
  /** @throws {Fault} store-unavailable; a promise rejects with it */
  find(): Awaitable<StoreObject | undefined>
  formOf(object: StoreObject): Representation
  /** Where a transfer waits for its turn. */
  readonly queue: FairQueue
}

export async function serveNar(origin: Origin, reply: Reply, target: NarTarget): Promise<void> {
  if (reply.route === 'other') reply.route = target.recipe === undefined ? 'nar' : 'nar-compressed'
  const found = findNar(origin, target)
  const object = found instanceof Promise ? await found : found
  if (object === undefined) return reply.refuse(404)

  reply.storePath = object.info.storePath
  const isFromLarder =
    object.form.kind === 'tree' && target.recipe !== undefined && target.recipe === origin.larder?.recipe
  const small = isFromLarder ? origin.larder!.peek(object.info.narHash) : undefined
  if (small !== undefined && isPlainGet(reply)) {
    reply.servedFrom = 'memory'
    reply.nar = { wholeBytes: small.byteLength, insteadOfBytes: object.info.narSize, reachesEnd: true }
    return reply.sendPrepared(small, 'immutable', () => commonHeaders(etagOf(target), true), small)
  }
  const wanted = {
    find: () => findNar(origin, target),
    formOf: (of: StoreObject) => representationOf(origin, target, of),
    queue: origin.transfers,
  }
  await serveForm(origin, reply, wanted, object)
}

/**
 * Replies without bytes of the NAR are sent at once, all others wait in the queue. Rejects only when the store cannot be
 * read.
 */
async function serveForm(origin: Origin, reply: Reply, wanted: Wanted, object: StoreObject): Promise<void> {
  const { headers } = reply.request
  const form = wanted.formOf(object)
  const conditional = statusByConditions(headers, form.etag)
  if (conditional !== undefined) return answerCondition(reply, conditional, form.etag)
  if (reply.isHead) return answerHead(reply, commonHeaders(form.etag, form.isResumable), form.size)
  if (form.size !== undefined && rangeOf(reply, form, form.size) === 'unsatisfiable')
    return refuseRange(reply, form.size)

  await enqueue(origin, reply, wanted.queue, () => send(origin, reply, wanted))
}

/** After waiting in the queue: the path may be gone, and its size may be known by now. Every fault becomes a reply. */
async function send(origin: Origin, reply: Reply, wanted: Wanted): Promise<void> {
  const object = await wanted.find()
  if (object === undefined) return reply.refuse(404)
  try {
    const form = wanted.formOf(object)
    const size = form.size ?? (mayRange(reply, form) ? await withinDeadline(origin, reply, form.settle()) : undefined)
    const range = size === undefined ? undefined : rangeOf(reply, form, size)
    if (range === 'unsatisfiable') return refuseRange(reply, size!)

    const release = await object.store.leases.hold(object.info.storePath)
    try {
      // The path may have been garbage-collected between the look-up and the lease.
      if ((await wanted.find()) === undefined) return reply.refuse(404)
      await sendForm(origin, reply, form, range, size)
    } finally {
      release()
    }
  } catch (error) {
    await answerReadError(origin, reply, object, error)
  }
}

async function sendForm(
  origin: Origin,
  reply: Reply,
  form: Representation,
  range: ByteRange | undefined,
  size: number | undefined,
): Promise<void> {
  const { opened, first } = await openWithFirstChunk(origin, reply, form, range)
  reply.servedFrom = opened.servedFrom
  reply.nar = {
    wholeBytes: size ?? opened.size,
    insteadOfBytes: form.insteadOfBytes,
    reachesEnd: range === undefined || range.end === size,
  }
  const length = range === undefined ? opened.size : range.end - range.start
  reply.begin(range === undefined ? 200 : 206, 'immutable', [
    ...commonHeaders(form.etag, form.isResumable),
    ...(length === undefined ? [] : ['Content-Length', String(length)]),
    ...(range === undefined ? [] : ['Content-Range', `bytes ${range.start}-${range.end - 1}/${size}`]),
  ])
  await pumpChunks(reply, opened.chunks, first)
}

/** Ranges are defined for GET only (RFC 9110, section 14.2). */
function mayRange({ isHead, request: { headers } }: Reply, { isResumable, etag }: Representation): boolean {
  return headers.range !== undefined && !isHead && isResumable && mayHonourRange(headers, etag)
}

function rangeOf(reply: Reply, form: Representation, size: number): ReturnType<typeof parseRange> {
  return mayRange(reply, form) ? parseRange(reply.request.headers.range, size) : undefined
}

function refuseRange(reply: Reply, size: number): void {
  reply.refuse(416, ['Content-Range', `bytes */${size}`])
}

/**
 * Finds the object only if it has the NAR hash of the URL: the path may have been rebuilt with other contents. Prefers a
 * store that has exactly the bytes of the URL, else takes another store with the same NAR. A delta is there only while
 * its base is, also one that was kept: it would show that the base was here, and what is in it.
 */
function findNar(origin: Origin, target: NarTarget): Awaitable<StoreObject | undefined> {
  const { base } = target
  if (base === undefined) return findOne(origin, target)
  const narHash = `sha256:${base.narHash}`
  const found = origin.catalogue.findObject(base.hashPart, ({ info }) => info.narHash === narHash)
  const unlessAbsent = (object: StoreObject | undefined) => object && findOne(origin, target)
  return found instanceof Promise ? found.then(unlessAbsent) : unlessAbsent(found)
}

function findOne({ catalogue }: Origin, target: NarTarget): Awaitable<StoreObject | undefined> {
  const narHash = `sha256:${target.narHash}`
  const fitting = catalogue.findObject(target.hashPart, (object) => fitsTarget(object, target))
  const orOther = (object: StoreObject | undefined) =>
    object ?? catalogue.findObject(target.hashPart, ({ info }) => info.narHash === narHash)
  return fitting instanceof Promise ? fitting.then(orOther) : orOther(fitting)
}

function commonHeaders(etag: string, isResumable: boolean): string[] {
  return ['Content-Type', 'application/x-nix-nar', 'ETag', etag, ...(isResumable ? ['Accept-Ranges', 'bytes'] : [])]
}

function isPlainGet({ request: { method, headers } }: Reply): boolean {
  return (
    method === 'GET' &&
    headers.range === undefined &&
    headers['if-none-match'] === undefined &&
    headers['if-match'] === undefined
  )
}

function answerCondition(reply: Reply, status: 304 | 412, etag: string): void {
  if (status === 412) return reply.refuse(412)
  reply.begin(304, 'immutable', ['ETag', etag])
  reply.response.end()
}

function answerHead(reply: Reply, common: string[], size: number | undefined): void {
  reply.begin(200, 'immutable', size === undefined ? common : [...common, 'Content-Length', String(size)])
  reply.response.end()
}
