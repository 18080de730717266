/**
 * The hot routes for targets that are percent-encoded or have a query. `?json` requests a narinfo in JSON; other queries
 * are ignored.
 */
import type { Request, RequestHandler, Router } from 'express'

import { serveTarget } from '../hot-routes.ts'
import { serveNarInfo } from '../narinfo/narinfo-route.ts'
import type { Origin } from '../origin.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'
import { parseHotTarget } from '../target.ts'

export function hotRoutes(origin: Origin): Router {
  const serve: RequestHandler<{ file: string }> = async (request, _response, next) => {
    const folder = request.path.slice(0, request.path.lastIndexOf('/') + 1)
    const target = parseHotTarget(`${folder}${request.params.file}`)
    if (target === undefined) return next()
    const reply = replyOf(request)
    if (target.route === 'narinfo' && asksForJson(request)) await serveNarInfo(origin, reply, target.hashPart, 'json')
    else await serveTarget(origin, reply, target)
  }
  return createRouter().get('/:file', serve).get('/nar/:file', serve)
}

function asksForJson(request: Request<{ file: string }>): boolean {
  return Object.hasOwn(request.query, 'json')
}
