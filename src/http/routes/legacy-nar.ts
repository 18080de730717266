/**
 * The NAR URLs of Eris and its like: `/nar/<hash part>.nar`, `.nar.xz`, `.nar.bz2`. Clients remember narinfos for a month, so a cache that moves to
 * Burrow goes on answering them. The compressed forms are made on the fly by the programs of those names and cannot be resumed.
 */
import type { Duplex } from 'node:stream'

import type { Router } from 'express'

import type { PathInfo } from '../../nix/path-info.ts'
import { serveForm, serveNar } from '../nar-route.ts'
import type { Origin } from '../origin.ts'
import { replyOf } from '../reply-of.ts'
import type { Representation } from '../representation.ts'
import { createRouter } from '../router.ts'
import { filteredReader } from '../stream-reader.ts'
import { createFairTurnstile } from '../turn.ts'

const legacyFile = /^([0-9a-df-np-sv-z]{32})\.nar(?:\.(xz|bz2))?$/

/** Each is a process of its own that takes a core. */
const maxFilters = 4
const maxWaiting = 256

export function legacyNarRoute(origin: Origin): Router {
  const turnstile = createFairTurnstile(maxFilters, maxWaiting)
  return createRouter().get('/nar/:file', async (request, _response, next) => {
    const [, hashPart, suffix] = legacyFile.exec(request.params.file) ?? []
    if (hashPart === undefined) return next()
    const reply = replyOf(request)
    reply.route = 'nar-legacy'
    const find = () => origin.store.findPathInfo(hashPart)
    const info = find()
    if (info === undefined) return reply.refuse(404)
    if (suffix === undefined) return serveNar(origin, reply, { route: 'nar', hashPart, narHash: info.narHash.slice('sha256:'.length), recipe: undefined })
    const openFilter = origin.filters[suffix as 'xz' | 'bz2']
    if (openFilter === undefined) return reply.refuse(404)
    await serveForm(origin, reply, { find, formOf: (of) => filteredForm(origin, of, suffix, openFilter), turnstile }, info)
  })
}

/** Made for one client: other versions of the program make other bytes. */
function filteredForm({ store, packer }: Origin, info: PathInfo, suffix: string, openFilter: () => Duplex): Representation {
  const { narHash, narSize } = info
  return {
    etag: `"${narHash.slice('sha256:'.length)}.${suffix}.once"`,
    size: undefined,
    isResumable: false,
    settle: () => Promise.reject(new Error('The size of a NAR compressed for one client is not known')),
    open: async () => ({
      size: undefined,
      chunks: filteredReader(packer.openNar({ realPath: store.realPathOf(info.storePath), narHash, narSize }), openFilter()),
    }),
  }
}
