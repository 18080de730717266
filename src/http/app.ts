/**
 * Everything but the two hot routes, in Express: one file a route in `routes/`. Authentication comes first, through Passport and the same verifier
 * as on the hot routes; then the method; then the route; then a 404 in plain text.
 */
import type { IncomingHttpHeaders } from 'node:http'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import passport from 'passport'
import { BasicStrategy } from 'passport-http'

import { admit, admitIdentity, realm } from './admission.ts'
import { answerError, type Origin } from './origin.ts'
import type { Particulars } from './particulars.ts'
import { replyOf } from './reply-of.ts'
import { cacheInfoRoute } from './routes/cache-info.ts'
import { hotRoutes } from './routes/hot.ts'
import { indexRoute } from './routes/index-page.ts'
import { legacyNarRoute } from './routes/legacy-nar.ts'
import { listingRoute } from './routes/listing.ts'
import { logRoute } from './routes/log.ts'
import { publicKeyRoute } from './routes/public-key.ts'
import { realisationRoute } from './routes/realisation.ts'
import { versionRoute } from './routes/version.ts'
import type { Access, Identity } from './user.ts'
import type { Verdict, Verifier } from './verifier.ts'

/** Who a browser's request comes from, where something in front of us has asked; `undefined` when nobody is vouched for. Never rejects. */
export type Visitors = (headers: IncomingHttpHeaders) => Promise<{ readonly name: string } | undefined>

export function createApp(origin: Origin, verifier: Verifier, particulars: () => Particulars, visitors?: Visitors): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', 'simple')
  app.enable('case sensitive routing')
  app.enable('strict routing')

  app.use(authentication(verifier, visitors))
  app.use(onlyReading)
  app.use(indexRoute(origin, particulars))
  app.use(cacheInfoRoute(origin, particulars))
  app.use(hotRoutes(origin))
  app.use(legacyNarRoute(origin))
  app.use(listingRoute(origin))
  app.use(logRoute(origin))
  app.use(realisationRoute(origin))
  app.use(versionRoute(particulars))
  app.use(publicKeyRoute(particulars))
  app.use(absent)
  app.use(faults(origin))
  return app
}

/**
 * Passport reads the header's form; whether it is right is the verifier's word. The strategy cuts a password at its second colon,
 * so the verifier is handed the header itself.
 */
function authentication(verifier: Verifier, visitors: Visitors | undefined): RequestHandler {
  const strategy = new BasicStrategy({ realm, passReqToCallback: true }, (request, _name, _password, done) => {
    const { authorization } = request.headers
    verifier.verify(authorization, replyOf(request).address).then((verdict) => done(null, verdict), done)
  })
  const passports = new passport.Passport()
  passports.use(strategy as unknown as passport.Strategy)

  return (request, response, next) => {
    const reply = replyOf(request)
    const identity: Identity | undefined = verifier.recall(request.headers.authorization)
    if (identity !== undefined) {
      if (admitIdentity(reply, identity)) next()
      return
    }
    const conclude = (error: unknown, verdict: Verdict | false | undefined) => {
      if (error) return next(error)
      if (admit(reply, verdict || { kind: 'unknown' })) next()
    }
    const askForPassword = () => passports.authenticate('basic', { session: false }, conclude)(request, response, next)
    if (visitors === undefined || request.headers.authorization !== undefined || !isForPeople(request.path)) return askForPassword()
    visitors(request.headers).then((visitor) => {
      if (visitor === undefined) return askForPassword()
      if (admitIdentity(reply, { name: visitor.name, access: reading })) next()
    }, next)
  }
}

const reading: ReadonlySet<Access> = new Set<Access>(['pull'])

/** What a browser has use for. Nix brings its password to these as well. */
function isForPeople(path: string): boolean {
  return path === '/' || path.endsWith('.ls') || path.startsWith('/log/')
}

const onlyReading: RequestHandler = (request, _response, next) => {
  if (request.method === 'GET' || request.method === 'HEAD') next()
  else replyOf(request).refuse(405, ['Allow', 'GET, HEAD'])
}

const absent: RequestHandler = (request) => replyOf(request).refuse(404)

function faults(origin: Origin): ErrorRequestHandler {
  return (error, request, _response, _next) => {
    const reply = replyOf(request)
    // Express's own complaints are about targets that cannot be decoded: nothing of that name is here.
    if (error instanceof URIError || (error as { status?: unknown }).status === 400) reply.refuse(404)
    else answerError(origin.log, reply, error)
  }
}
