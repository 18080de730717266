/**
 * All routes but the two hot ones, in Express, one file per route in `routes/`. Requests have been authenticated before
 * (auth/door.ts). Uploads come first, then only GET and HEAD are allowed; the last handler answers 404 in plain text.
 */
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import { closureRoute } from './closure/closure-route.ts'
import type { VersionIndex } from './closure/version-index.ts'
import type { EventStreams } from './events/event-streams.ts'
import { answerError, type Origin } from './origin.ts'
import type { Site } from './pages/site.ts'
import { type NixUploadsOptions, nixUploads } from './push/nix-uploads.ts'
import { pins } from './push/pins.ts'
import { pushProtocol } from './push/push-protocol.ts'
import { storedDocuments } from './push/stored-documents.ts'
import { replyOf } from './reply-of.ts'
import { assetsRoute } from './routes/assets.ts'
import { cacheInfoRoute } from './routes/cache-info.ts'
import { clientProgramRoute, type ReadClientProgram } from './routes/client-program.ts'
import { hotRoutes } from './routes/hot.ts'
import { indexRoute } from './routes/index-page.ts'
import { type JoinOptions, joinRoute } from './routes/join.ts'
import { legacyNarRoute } from './routes/legacy-nar.ts'
import { listingRoute } from './routes/listing.ts'
import { logRoute } from './routes/log.ts'
import { pathRoute } from './routes/path.ts'
import { publicKeyRoute } from './routes/public-key.ts'
import { realisationRoute } from './routes/realisation.ts'
import { searchRoute } from './routes/search.ts'
import { statusRoute } from './routes/status.ts'
import { usageRoute } from './routes/usage.ts'
import { usersRoute } from './routes/users.ts'
import { versionRoute } from './routes/version.ts'

/** `pushes`: undefined when this cache does not accept pushes. */
export function createApp(
  site: Site,
  streams: EventStreams,
  versions: VersionIndex,
  pushes?: NixUploadsOptions,
  readClientProgram?: ReadClientProgram,
  join?: JoinOptions,
): Express {
  const { origin, particulars, usage } = site
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', 'simple')
  app.enable('case sensitive routing')
  app.enable('strict routing')

  if (join !== undefined) {
    app.use(joinRoute(join))
    app.use(usersRoute(join.team, particulars))
  }
  app.use(closureRoute(origin, versions))
  if (pushes !== undefined) {
    app.use(pushProtocol(pushes.depot))
    app.use(pins(pushes.depot))
    app.use(nixUploads(pushes))
  }
  app.use(requireGetOrHead)
  app.use(indexRoute(site))
  app.use(searchRoute(site))
  app.use(pathRoute(site))
  app.use(statusRoute(site, streams))
  app.use(assetsRoute())
  if (usage !== undefined) app.use(usageRoute(usage, site))
  app.use(cacheInfoRoute(origin, particulars))
  app.use(hotRoutes(origin))
  app.use(legacyNarRoute(origin))
  app.use(listingRoute(origin))
  app.use(logRoute(origin))
  app.use(realisationRoute(origin))
  if (pushes !== undefined) app.use(storedDocuments(pushes.depot))
  app.use(versionRoute(particulars))
  app.use(publicKeyRoute(particulars))
  if (readClientProgram !== undefined) app.use(clientProgramRoute(readClientProgram))
  app.use(notFound)
  app.use(errorHandler(origin))
  return app
}

const requireGetOrHead: RequestHandler = (request, _response, next) => {
  if (request.method === 'GET' || request.method === 'HEAD') next()
  else replyOf(request).refuse(405, ['Allow', 'GET, HEAD'])
}

const notFound: RequestHandler = (request) => replyOf(request).refuse(404)

function errorHandler(origin: Origin): ErrorRequestHandler {
  return (error, request, _response, _next) => {
    const reply = replyOf(request)
    // Express's own errors are about targets that cannot be decoded: there is nothing with such a name.
    if (error instanceof URIError || (error as { status?: unknown }).status === 400) reply.refuse(404)
    else answerError(origin, reply, error)
  }
}
