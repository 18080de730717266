/**
 * The NAR URLs of Eris and its like: `/nar/<hash part>.nar`, `.nar.xz`, `.nar.bz2`. Clients remember narinfos for a month, so a cache that moves to
 * Burrow goes on answering them. The compressed forms are made on the fly by the programs of those names and cannot be resumed.
 */
import { pipeline } from 'node:stream/promises'

import type { Router } from 'express'

import type { Chunk, ChunkReader } from '../../chunks.ts'
import { Fault } from '../../faults.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import { serveNar } from '../nar-route.ts'
import { answerPackingError, type Origin } from '../origin.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'
import { createTransfers, type Transfers } from '../transfers.ts'

const legacyFile = /^([0-9a-df-np-sv-z]{32})\.nar(?:\.(xz|bz2))?$/

/** Each is a process of its own that takes a core. */
const maxFilters = 4

export function legacyNarRoute(origin: Origin): Router {
  const filters = createTransfers(maxFilters)
  return createRouter().get('/nar/:file', async (request, _response, next) => {
    const [, hashPart, suffix] = legacyFile.exec(request.params.file) ?? []
    if (hashPart === undefined) return next()
    const reply = replyOf(request)
    reply.route = 'nar-legacy'
    const info = origin.store.findPathInfo(hashPart)
    if (info === undefined) return reply.refuse(404)
    if (suffix === undefined) return serveNar(origin, reply, { route: 'nar', hashPart, narHash: info.narHash.slice('sha256:'.length), recipe: undefined })
    await serveFiltered(origin, filters, reply, info, suffix as 'xz' | 'bz2')
  })
}

async function serveFiltered(origin: Origin, filters: Transfers, reply: Reply, info: PathInfo, suffix: 'xz' | 'bz2'): Promise<void> {
  const openFilter = origin.filters[suffix]
  if (openFilter === undefined) return reply.refuse(404)
  const headers = ['Content-Type', 'application/x-nix-nar']
  if (reply.isHead) {
    reply.begin(200, 'immutable', headers)
    reply.response.end()
    return
  }
  const leave = filters.enter()
  if (leave === undefined) return reply.postpone(5)
  const { store, packer } = origin
  const letGo = await store.leases.hold(info.storePath)
  const chunks = packer.openNar({ realPath: store.realPathOf(info.storePath), narHash: info.narHash, narSize: info.narSize })
  try {
    // Between the look-up and the lease the path may have been collected.
    if (store.findPathInfo(hashPartOf(info.storePath)) === undefined) return reply.refuse(404)
    const first = await chunks.next()
    reply.begin(200, 'immutable', headers)
    await pipeline(bytesOf(first, chunks), openFilter(), countInto(reply), reply.response)
  } catch (error) {
    answerPackingError(origin, reply, info, toFault(error))
  } finally {
    chunks.close()
    letGo()
    leave()
  }
}

/** A client that left, or a program that failed, is no bug of this one. */
function toFault(error: unknown): Fault {
  if (error instanceof Fault) return error
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ABORT_ERR') return new Fault('abandoned', 'The client closed the connection', { cause: error })
  return new Fault('busy', 'Cannot compress a NAR in an old form: the program for it failed', { cause: error })
}

/** Copies, since a pipe keeps chunks for longer than their memory is lent. */
async function* bytesOf(first: Chunk | undefined, chunks: ChunkReader): AsyncGenerator<Buffer> {
  for (let chunk = first; chunk !== undefined; chunk = await chunks.next()) {
    const copy = Buffer.from(chunk.bytes)
    chunk.release()
    yield copy
  }
}

function countInto(reply: Reply): (source: AsyncIterable<Buffer>) => AsyncGenerator<Buffer> {
  return async function* (source) {
    for await (const chunk of source) {
      reply.bytes += chunk.length
      yield chunk
    }
  }
}
