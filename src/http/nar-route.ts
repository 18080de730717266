/**
 * `/nar/…`: the NARs our narinfos name, uncompressed by seeking in the store, compressed from the larder; whole or in ranges.
 */
import type { ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import type { PathInfo } from '../nix/path-info.ts'
import { pumpChunks } from './chunk-pump.ts'
import { mayHonourRange, statusByConditions } from './conditions.ts'
import { answerPackingError, type Origin } from './origin.ts'
import { parseRange } from './range.ts'
import type { Reply } from './reply.ts'
import { etagOf, representationOf } from './representation.ts'
import type { NarTarget } from './target.ts'

/** Never rejects: every fault becomes a reply. */
export async function serveNar(origin: Origin, reply: Reply, target: NarTarget): Promise<void> {
  if (reply.route === 'other') reply.route = target.recipe === undefined ? 'nar' : 'nar-compressed'
  const info = findNar(origin, target)
  if (info === undefined) return reply.refuse(404)

  const small = target.recipe !== undefined && target.recipe === origin.larder?.recipe ? origin.larder.peek(info.narHash) : undefined
  if (small !== undefined && isPlainGet(reply)) {
    return reply.sendPrepared(small, 'immutable', () => commonHeaders(etagOf(target), true), small)
  }
  const leave = origin.transfers.enter()
  if (leave === undefined) return reply.postpone(5)
  try {
    await serve(origin, reply, target, info)
  } catch (error) {
    answerPackingError(origin, reply, info, error)
  } finally {
    leave()
  }
}

async function serve(origin: Origin, reply: Reply, target: NarTarget, info: PathInfo): Promise<void> {
  const { headers } = reply.request
  const form = representationOf(origin, target, info)
  const conditional = statusByConditions(headers, form.etag)
  if (conditional !== undefined) return answerCondition(reply, conditional, form.etag)

  // A range is defined for GET alone (RFC 9110, section 14.2).
  const wantsRange = headers.range !== undefined && !reply.isHead && form.isResumable && mayHonourRange(headers, form.etag)
  const size = form.size ?? (wantsRange ? await withinPatience(origin, form.settle()) : undefined)
  const range = wantsRange && size !== undefined ? parseRange(headers.range, size) : undefined
  if (range === 'unsatisfiable') return reply.refuse(416, ['Content-Range', `bytes */${size}`, 'Accept-Ranges', 'bytes'])
  const common = commonHeaders(form.etag, form.isResumable)
  if (reply.isHead) return answerHead(reply, common, size)

  const letGo = await origin.store.leases.hold(info.storePath)
  try {
    // Between the look-up and the lease the path may have been collected.
    if (findNar(origin, target) === undefined) return reply.refuse(404)
    const opened = await form.open(range)
    // The first chunk comes before the header: what is wrong from the start gets an honest status.
    const first = await firstChunk(origin, opened.chunks)
    const length = range === undefined ? opened.size : range.end - range.start
    reply.begin(range === undefined ? 200 : 206, 'immutable', [
      ...common,
      ...(length === undefined ? [] : ['Content-Length', String(length)]),
      ...(range === undefined ? [] : ['Content-Range', `bytes ${range.start}-${range.end - 1}/${size}`]),
    ])
    await pumpChunks(reply, opened.chunks, first)
  } finally {
    letGo()
  }
}

/** A NAR request is answered only for the NAR it names: the path may have been rebuilt with other contents since. */
function findNar({ catalogue }: Origin, { hashPart, narHash }: NarTarget): PathInfo | undefined {
  const info = catalogue.findInfo(hashPart)
  return info?.narHash === `sha256:${narHash}` ? info : undefined
}

function commonHeaders(etag: string, isResumable: boolean): string[] {
  return ['Content-Type', 'application/x-nix-nar', 'ETag', etag, ...(isResumable ? ['Accept-Ranges', 'bytes'] : [])]
}

function isPlainGet({ request: { method, headers } }: Reply): boolean {
  return method === 'GET' && headers.range === undefined && headers['if-none-match'] === undefined && headers['if-match'] === undefined
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

async function firstChunk(origin: Origin, chunks: ChunkReader): ReturnType<ChunkReader['next']> {
  try {
    return await withinPatience(origin, chunks.next())
  } catch (error) {
    chunks.close()
    throw error
  }
}

/** A reply must have begun well before the edge's limit of 100 s; the client comes again and finds more done. */
async function withinPatience<T>(origin: Origin, work: Promise<T>): Promise<T> {
  work.catch(() => {})
  const { promise: expired, reject } = Promise.withResolvers<never>()
  const stop = origin.after(origin.limits.firstByteSeconds * 1000, () => reject(new Fault('busy', 'The NAR takes longer to begin than a client may wait')))
  try {
    return await Promise.race([work, expired])
  } finally {
    stop()
  }
}
