/**
 * Uploads of stock Nix with `nix copy --to https://…`: NARs, then narinfos, and the extra files that some options
 * produce. Everything that can be checked by the header is checked before the body is read.
 */
import type { RequestHandler, Router } from 'express'

import { parseCacheInfo } from '../../nix/cache-info.ts'
import { parseNarFileUrl } from '../../nix/nar-file-url.ts'
import { parseNarInfo } from '../../nix/parse-nar-info.ts'
import { parseHashPart } from '../../nix/store-path.ts'
import type { PathHistory, PushTarget } from '../../store/depot/contract.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'
import { parseBuildTrace, parseDebugInfo, parseRealisation } from './document-names.ts'
import { describeConflict, pusherOf, refuseNix, refuseUpload } from './refusals.ts'
import { bodyLength, drain, readPieces, readWhole } from './request-body.ts'

const maxNarInfoBytes = 1024 * 1024
const maxListingBytes = 64 * 1024 * 1024
const maxDocumentBytes = 64 * 1024
const maxDebugInfoBytes = 4 * 1024
const maxCacheInfoBytes = 4 * 1024

export interface NixUploadsOptions {
  readonly depot: PushTarget & PathHistory
  /**
   * A larger NAR body is refused with a hint at `burrow push`, since the edge would reject it. Undefined: only the limits
   * of the depot apply.
   */
  readonly maxBodyBytes: number | undefined
}

export function nixUploads(options: NixUploadsOptions): Router {
  const { depot } = options
  const router = createRouter()
  const handle = (serve: (reply: Reply, name: string) => Promise<void>): RequestHandler<{ file: string }> => {
    return async (request) => {
      const reply = replyOf(request)
      reply.route = 'push'
      const length = bodyLength(request)
      if (!length) return refuseUpload(reply, 411, 'A body with a Content-Length is required')
      await serve(reply, request.params.file)
    }
  }
  router.put(
    '/nix-cache-info',
    handle((reply) => putCacheInfo(depot, reply)),
  )
  router.put(
    '/nar/:file',
    handle((reply, file) => putNar(options, reply, file)),
  )
  router.put(
    '/debuginfo/:file',
    handle((reply, file) => putDocument(depot, reply, 'debuginfo', parseDebugInfo(file), maxDebugInfoBytes)),
  )
  router.put(
    '/realisations/:file',
    handle((reply, file) => putDocument(depot, reply, 'realisation', parseRealisation(file), maxDocumentBytes)),
  )
  router.put('/build-trace-v2/:drv/:file', (request, response, next) => {
    const handler = handle((reply, file) =>
      putDocument(depot, reply, 'build-trace', parseBuildTrace(request.params.drv, file), maxDocumentBytes),
    )
    return handler(request as unknown as Parameters<typeof handler>[0], response, next)
  })
  router.put(
    '/log/:file',
    handle((reply, file) => putLog(depot, reply, file)),
  )
  router.put(
    '/:file',
    handle((reply, file) => putTopLevel(depot, reply, file)),
  )
  return router
}

async function putNar({ depot, maxBodyBytes }: NixUploadsOptions, reply: Reply, file: string): Promise<void> {
  const { request } = reply
  const url = parseNarFileUrl(`nar/${file}`)
  if (url === undefined)
    return refuseUpload(
      reply,
      415,
      'Supported NAR files: nar/<file hash>.nar, .nar.zst, .nar.xz, .nar.br, .nar.bz2 and .nar.gz',
    )
  const fileSize = bodyLength(request)!
  if (maxBodyBytes !== undefined && fileSize > maxBodyBytes) return refuseUpload(reply, 413, hintAtPush(fileSize))
  const upload = { ...url, fileSize, who: pusherOf(reply, 'nix') }
  const verdict = depot.admitNar(upload)
  if (verdict?.status === 'refused') return refuseNix(reply, verdict)
  if (verdict?.status === 'known') {
    await drain(request)
    return created(reply, false)
  }
  const received = await depot.receiveNar(upload, readPieces(request))
  if (received.status === 'refused') {
    // The client has disconnected.
    if (received.code === 'cut') return reply.break()
    return refuseNix(reply, received)
  }
  created(reply, received.status === 'stored')
}

function hintAtPush(fileSize: number): string {
  return `This NAR has ${Math.round(fileSize / 1e6)} MB; Cloudflare accepts bodies up to 100 MB. Use: burrow push --to <this cache> <store path>`
}

async function putTopLevel(depot: PushTarget, reply: Reply, file: string): Promise<void> {
  const narInfo = parseHashPart(/^(.+)\.narinfo$/.exec(file)?.[1] ?? '')
  if (narInfo !== undefined) return await putNarInfo(depot, reply, narInfo)
  if (parseHashPart(/^(.+)\.ls$/.exec(file)?.[1] ?? '') !== undefined) return await putListing(reply)
  refuseUpload(reply, 405, 'Only files of a Nix binary cache can be uploaded')
}

async function putNarInfo(depot: PushTarget, reply: Reply, hashPart: string): Promise<void> {
  const text = await readWhole(reply.request, maxNarInfoBytes)
  if (text === undefined)
    return refuseUpload(
      reply,
      413,
      `A narinfo may have at most ${maxNarInfoBytes} bytes, uncompressed or with gzip, br or zstd`,
    )
  const narInfo = parseNarInfo(text.toString('utf8'), depot.storeDir)
  if (narInfo === undefined) return refuseUpload(reply, 422, `This is not a narinfo of a path in ${depot.storeDir}`)
  reply.storePath = narInfo.storePath
  const registered = await depot.registerNarInfo(hashPart, narInfo, pusherOf(reply, 'nix'))
  switch (registered.status) {
    case 'refused':
      return refuseNix(reply, registered)
    case 'conflict':
      return refuseUpload(
        reply,
        409,
        `${narInfo.storePath} is ${describeConflict(registered)}; an administrator can remove it with "burrow forget"`,
      )
    default:
      if (registered.status === 'registered') reply.noteRegistered(1)
      created(reply, registered.status === 'registered')
  }
}

/** The listing is dropped: this cache makes the same one when it is requested. */
async function putListing(reply: Reply): Promise<void> {
  if (bodyLength(reply.request)! > maxListingBytes)
    return refuseUpload(reply, 413, `A listing may have at most ${maxListingBytes} bytes`)
  await drain(reply.request)
  created(reply, false)
}

async function putCacheInfo({ storeDir }: PushTarget, reply: Reply): Promise<void> {
  const text = await readWhole(reply.request, maxCacheInfoBytes)
  const theirs = text && parseCacheInfo(text.toString('utf8'))?.storeDir
  if (theirs === storeDir) created(reply, false)
  else refuseUpload(reply, 409, `This cache is for ${storeDir}`)
}

const labels = {
  realisation: 'a realisation',
  'build-trace': 'a build trace',
  debuginfo: 'debug information',
} as const

async function putDocument(
  depot: PushTarget,
  reply: Reply,
  kind: keyof typeof labels,
  key: string | undefined,
  maxBytes: number,
): Promise<void> {
  if (key === undefined) return refuseUpload(reply, 422, `This is not a valid file name for ${labels[kind]}`)
  const text = await readWhole(reply.request, maxBytes)
  if (text === undefined) return refuseUpload(reply, 413, `It may have at most ${maxBytes} bytes`)
  answerStored(reply, await depot.putDocument(kind, key, text.toString('utf8'), pusherOf(reply, 'nix')))
}

async function putLog(depot: PushTarget, reply: Reply, drvBaseName: string): Promise<void> {
  answerStored(reply, await depot.putLog({ drvBaseName, who: pusherOf(reply, 'nix') }, readPieces(reply.request)))
}

function answerStored(reply: Reply, outcome: Awaited<ReturnType<PushTarget['putDocument']>>): void {
  if (typeof outcome === 'object') refuseNix(reply, outcome)
  else if (outcome === 'conflict') refuseUpload(reply, 409, 'Different content is already stored under this name')
  else created(reply, outcome === 'stored')
}

function created(reply: Reply, isNew: boolean): void {
  reply.uploaded()
  reply.send(isNew ? 201 : 200, 'missed', [], '')
}
