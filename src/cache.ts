/**
 * The cache put together: a store, its NARs, their compressed forms, and HTTP in front. It listens nowhere by itself
 * and reads no environment. The caller runs the server.
 */
import type { Server } from 'node:http'

import type { CacheOptions, Reloadable } from './cache-options.ts'
import { openDeltaMaker } from './delta/maker/delta-thread.ts'
import { Fault } from './faults.ts'
import { createApp } from './http/app.ts'
import { createAccessRules } from './http/auth/access-rules.ts'
import { createDoor } from './http/auth/door.ts'
import { createLoginThrottle } from './http/auth/login-throttle.ts'
import { createAuthenticator } from './http/auth/strategies.ts'
import { createVerifier } from './http/auth/verifier.ts'
import { createCacheHeaders } from './http/cache-headers.ts'
import { VersionIndex } from './http/closure/version-index.ts'
import { createEventStreams } from './http/events/event-streams.ts'
import { createHandler } from './http/hot-routes.ts'
import { NameIndex } from './http/names/name-index.ts'
import { PathFeed } from './http/names/path-feed.ts'
import { createCatalogue } from './http/narinfo/catalogue.ts'
import type { Origin } from './http/origin.ts'
import { createErrorRenderer } from './http/pages/error-page.ts'
import type { PageName } from './http/pages/navigation.ts'
import type { Site } from './http/pages/site.ts'
import type { Particulars } from './http/particulars.ts'
import { createQueue } from './http/queue/enqueue.ts'
import { Reply } from './http/reply.ts'
import { keepReply } from './http/reply-of.ts'
import { createPublicServer } from './http/server.ts'
import type { SiteStatus } from './http/site-status.ts'
import { createStoreOutage, watchForOutage } from './http/store-outage.ts'
import type { LarderStats } from './larder/larder.ts'
import { openLarder } from './larder/open-larder.ts'
import { openPacker } from './nar/packer.ts'
import type { Lookup, Store } from './store/store.ts'
import { combineStores, withoutUpstreams } from './store/stores.ts'

export interface CacheStats {
  readonly transfersUnderWay: number
  /** Requests for NARs that wait for a place. */
  readonly transfersWaiting: number
  readonly failedLogins: number
  /** True while all paths are answered as absent because the stores cannot be read. */
  readonly answersAbsent: boolean
  readonly larder: LarderStats | undefined
}

export interface Cache extends AsyncDisposable {
  /** A server that answers for this cache; the caller lets it listen and closes it. */
  createServer(): Server
  /** Acts on the next request; those under way are not disturbed. */
  reload(replacement: Reloadable): void
  readonly stats: CacheStats
  /** Before a stop: ends replies that have no end of their own, which keep pages up to date. */
  endStreams(): void
}

/** Small compressed NARs in memory: each may be there twice, the second time as a reply ready to be sent. */
const smallNarBytes = 32 * 1024 * 1024

/** Rejects with a Fault `larder-unwritable` when the larder's directory cannot be used at all. */
export async function openCache(options: CacheOptions): Promise<Cache> {
  const { log, limits, observer } = options
  const stores = combineStores(options.stores)
  await using opening = new AsyncDisposableStack()
  const packer = opening.use(openPacker({ log }))
  const larder =
    options.compression.type === 'none'
      ? undefined
      : opening.use(
          await openLarder({
            ...options.larder,
            level: options.compression.level,
            zstdVersion: options.zstdVersion,
            memoryBytes: smallNarBytes,
            packer,
            deltaMaker: options.larder.deltas === false ? undefined : openDeltaMaker({ log }),
            log,
          }).catch(refuseLarder),
        )

  const outage = createStoreOutage(log, () => performance.now())
  opening.defer(watchForOutage(outage, stores.generation, after))
  const catalogue = createCatalogue(stores, larder, options.signing, outage.end)
  const throttle = createLoginThrottle(sleep)
  const verifier = createVerifier({ users: options.users, throttle, now: Date.now })
  const accessRules = createAccessRules({
    takesPushes: options.pushes !== undefined,
    hasInvitations: options.team !== undefined,
  })
  const door = createDoor(verifier, createAuthenticator(verifier, options.visitors), accessRules)
  const transfers = createQueue(limits.concurrentNars, limits.waitingNars)
  const origin: Origin = { stores, packer, larder, catalogue, transfers, limits, log, outage, after }
  let reloadable: Reloadable = options
  let cacheHeaders = createCacheHeaders(options.users === undefined, options.edgeCache)

  const { version, priority, wantMassQuery } = options
  const readParticulars = (): Particulars => ({
    version,
    priority,
    wantMassQuery,
    publicKeys: reloadable.signing.map((key) => key.publicKey),
    indexPage: reloadable.indexPage,
    isPublic: reloadable.users === undefined,
    takesPushes: options.pushes !== undefined,
    contact: reloadable.contact,
    pages: pagesOf(reloadable, options.usage !== undefined, options.team !== undefined),
  })
  const renderError = createErrorRenderer(readParticulars)
  const readService = () => options.readService?.()
  const streams = createEventStreams({ after, mayContinue: door.stillAdmits })
  const feed = new PathFeed(options.stores)
  const site: Site = {
    origin,
    particulars: readParticulars,
    names: new NameIndex(feed),
    stores: options.stores,
    here: combineHere(options.stores),
    depot: options.pushes?.depot,
    usage: options.usage,
    readService,
    readStatus: (): SiteStatus => ({
      now: new Date(),
      service: readService(),
      stores: stores.health(),
      larder: larder?.stats,
      transfersUnderWay: transfers.underWay,
      transfersWaiting: transfers.waiting,
      answersAbsent: outage.isHidden,
    }),
  }
  const join = options.team && {
    team: options.team,
    throttle,
    storeDir: stores.storeDir,
    particulars: readParticulars,
    readClientProgram: options.readClientProgram,
  }
  const app = createApp(site, streams, new VersionIndex(feed), options.pushes, options.readClientProgram, join)
  // In the background: the first search finds everything.
  void feed.update()
  const handle = createHandler(
    origin,
    door,
    (request, response) => new Reply(request, response, cacheHeaders, observer, renderError),
    (reply) => {
      keepReply(reply)
      app(reply.request, reply.response)
    },
  )

  const resources = opening.move()
  return {
    createServer: () => createPublicServer(limits, handle),
    endStreams: streams.end,
    reload(replacement) {
      reloadable = replacement
      verifier.replaceUsers(replacement.users)
      catalogue.replaceKeys(replacement.signing)
      cacheHeaders = createCacheHeaders(replacement.users === undefined, options.edgeCache)
    },
    get stats() {
      return {
        transfersUnderWay: transfers.underWay,
        transfersWaiting: transfers.waiting,
        failedLogins: throttle.failures,
        answersAbsent: outage.isHidden,
        larder: larder?.stats,
      }
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

function pagesOf({ indexPage, users }: Reloadable, hasUsage: boolean, hasTeam: boolean): ReadonlySet<PageName> {
  const pages: PageName[] = ['search', 'status']
  if (indexPage !== false) pages.push('overview')
  // Figures belong to users, whom a public cache does not have.
  if (hasUsage && users !== undefined) pages.push('usage')
  if (hasTeam && users !== undefined) pages.push('users')
  return new Set(pages)
}

function combineHere(stores: readonly Store[]): Lookup {
  const here = withoutUpstreams(stores)
  return combineStores(here.length > 0 ? here : stores)
}

/** What the larder says of its directory is for the operator's eyes. */
function refuseLarder(cause: Error): never {
  throw new Fault('larder-unwritable', cause.message, { cause })
}

/** Delays of answers keep no program alive. */
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref())

function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms).unref()
  return () => clearTimeout(timer)
}
