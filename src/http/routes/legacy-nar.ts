/**
 * The NAR URLs of Eris and its like: `/nar/<hash part>.nar`, `.nar.xz`, `.nar.bz2`. Clients remember narinfos for a month, so a cache that moves to
 * Burrow goes on answering them. The compressed forms are made on the fly by the programs of those names and cannot be resumed.
 */
import { pipeline } from 'node:stream/promises'

import type { Router } from 'express'

import type { ChunkReader } from '../../chunks.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { serveNar } from '../nar-route.ts'
import { answerPackingError, type Origin } from '../origin.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

const legacyFile = /^([0-9a-df-np-sv-z]{32})\.nar(?:\.(xz|bz2))?$/

export function legacyNarRoute(origin: Origin): Router {
  return createRouter().get('/nar/:file', async (request, _response, next) => {
    const [, hashPart, suffix] = legacyFile.exec(request.params.file) ?? []
    if (hashPart === undefined) return next()
    const reply = replyOf(request)
    reply.route = 'nar-legacy'
    const info = origin.store.findPathInfo(hashPart)
    if (info === undefined) return reply.refuse(404)
    if (suffix === undefined) return serveNar(origin, reply, { route: 'nar', hashPart, narHash: info.narHash.slice('sha256:'.length), recipe: undefined })
    await serveFiltered(origin, reply, info, suffix as 'xz' | 'bz2')
  })
}

async function serveFiltered(origin: Origin, reply: Reply, info: PathInfo, suffix: 'xz' | 'bz2'): Promise<void> {
  const openFilter = origin.filters[suffix]
  if (openFilter === undefined) return reply.refuse(404)
  const headers = ['Content-Type', 'application/x-nix-nar']
  if (reply.isHead) {
    reply.begin(200, 'immutable', headers)
    reply.response.end()
    return
  }
  const leave = origin.transfers.enter()
  if (leave === undefined) return reply.postpone(5)
  const letGo = await origin.store.leases.hold(info.storePath)
  const chunks = origin.packer.openNar({ realPath: origin.store.realPathOf(info.storePath), narHash: info.narHash, narSize: info.narSize })
  try {
    reply.begin(200, 'immutable', headers)
    await pipeline(bytesOf(chunks), openFilter(), countInto(reply), reply.response)
  } catch (error) {
    answerPackingError(origin, reply, info, error)
  } finally {
    chunks.close()
    letGo()
    leave()
  }
}

/** Copies, since a pipe keeps chunks for longer than their memory is lent. */
async function* bytesOf(chunks: ChunkReader): AsyncGenerator<Buffer> {
  for (let chunk = await chunks.next(); chunk !== undefined; chunk = await chunks.next()) {
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
