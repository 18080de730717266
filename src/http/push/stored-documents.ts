/**
 * Serves what was pushed in addition to store objects: debug information, build traces, and NARs by their file hash.
 */
import type { Router } from 'express'

import { parseNarFileUrl } from '../../nix/nar-file-url.ts'
import type { PushTarget } from '../../store/depot/contract.ts'
import { pumpChunks } from '../nar/chunk-pump.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'
import { parseBuildTrace, parseDebugInfo } from './document-names.ts'

export function storedDocuments(depot: PushTarget): Router {
  return createRouter()
    .get('/debuginfo/:file', (request) =>
      sendDocument(depot, replyOf(request), 'debuginfo', parseDebugInfo(request.params.file)),
    )
    .get('/build-trace-v2/:drv/:file', (request) =>
      sendDocument(depot, replyOf(request), 'build-trace', parseBuildTrace(request.params.drv, request.params.file)),
    )
    .get('/nar/:file', async (request, _response, next) => {
      const url = parseNarFileUrl(`nar/${request.params.file}`)
      if (url === undefined) return next()
      const reply = replyOf(request)
      reply.route = 'nar'
      const file = depot.findNarFile(url.fileHash)
      if (file === undefined || file.compression !== url.compression) return reply.refuse(404)
      const headers = ['Content-Type', 'application/x-nix-nar', 'Content-Length', String(file.fileSize)]
      if (reply.isHead) {
        reply.begin(200, 'immutable', headers)
        reply.response.end()
        return
      }
      const chunks = await file.open()
      const first = await chunks.next()
      reply.servedFrom = 'file'
      reply.begin(200, 'immutable', headers)
      await pumpChunks(reply, chunks, first)
    })
}

function sendDocument(
  depot: PushTarget,
  reply: Reply,
  kind: 'debuginfo' | 'build-trace',
  key: string | undefined,
): void {
  const text = key === undefined ? undefined : depot.findDocument(kind, key)
  if (text === undefined) reply.refuse(404)
  else reply.send(200, 'found', ['Content-Type', 'application/json'], text)
}
