/**
 * The HTTP side alone, on parts which the test moves by hand: a store with one object, a packer whose chunks come when
 * the test gives them, and timers it lets go off.
 *
 *   await using origin = await openHandFed({ limits: { concurrentNars: 1 } })
 *   const asked = origin.get(narUrl)
 *   const body = await origin.nextBody()
 *   body.feed('bytes'); body.end()
 */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'

import type { Chunk, ChunkReader } from '../../src/chunks.ts'
import { Fault } from '../../src/faults.ts'
import { createApp } from '../../src/http/app.ts'
import { createAccessRules } from '../../src/http/auth/access-rules.ts'
import { createDoor } from '../../src/http/auth/door.ts'
import { createLoginThrottle } from '../../src/http/auth/login-throttle.ts'
import { createAuthenticator } from '../../src/http/auth/strategies.ts'
import { createVerifier } from '../../src/http/auth/verifier.ts'
import { createCacheHeaders } from '../../src/http/cache-headers.ts'
import { VersionIndex } from '../../src/http/closure/version-index.ts'
import { createEventStreams } from '../../src/http/events/event-streams.ts'
import { createHandler } from '../../src/http/hot-routes.ts'
import { NameIndex } from '../../src/http/names/name-index.ts'
import { PathFeed } from '../../src/http/names/path-feed.ts'
import type { Exchange } from '../../src/http/observer.ts'
import { defaultLimits, type Limits, type Origin } from '../../src/http/origin.ts'
import type { Site } from '../../src/http/pages/site.ts'
import { createQueue } from '../../src/http/queue/enqueue.ts'
import { Reply } from '../../src/http/reply.ts'
import { keepReply } from '../../src/http/reply-of.ts'
import { createPublicServer } from '../../src/http/server.ts'
import { createStoreOutage } from '../../src/http/store-outage.ts'
import type { Larder } from '../../src/larder/larder.ts'
import { silentLog } from '../../src/log.ts'
import type { Packer } from '../../src/nar/contract.ts'
import type { PathInfo } from '../../src/nix/path-info.ts'
import type { Leases, Store, StoreObject } from '../../src/store/store.ts'
import { combineStores } from '../../src/store/stores.ts'
import { type Answer, ben, benAuthorization, get } from '../fixtures/cache.ts'

export const hashPart = '6f90lrmaxn2bybp9ffarwvdipidnqf78'
const narHash = `1${'0'.repeat(51)}`
export const narSize = 20_000
export const recipe = 'zstd-3-1.5.7'
export const narUrl = `/nar/${hashPart}-${narHash}.nar`
export const compressedUrl = `/nar/${hashPart}-${narHash}.${recipe}.nar`
export const foreignUrl = `/nar/${hashPart}-${narHash}.zstd-9-1.4.0.nar`

export class HandFedBody implements ChunkReader {
  isClosed = false
  readonly #ready: (Buffer | undefined | Fault)[] = []
  #next: PromiseWithResolvers<Chunk | undefined> | undefined

  feed(bytes: string | Buffer): void {
    this.#give(Buffer.from(bytes))
  }

  end(): void {
    this.#give(undefined)
  }

  fail(fault: Fault): void {
    this.#give(fault)
  }

  next(): Promise<Chunk | undefined> {
    this.#next = Promise.withResolvers()
    const { promise } = this.#next
    this.#settle()
    return promise
  }

  close(): void {
    this.isClosed = true
    this.#settle()
  }

  #give(part: Buffer | undefined | Fault): void {
    this.#ready.push(part)
    this.#settle()
  }

  #settle(): void {
    const next = this.#next
    if (next === undefined || (this.#ready.length === 0 && !this.isClosed)) return
    this.#next = undefined
    const part = this.isClosed ? new Fault('abandoned', 'closed') : this.#ready.shift()
    if (part instanceof Fault) next.reject(part)
    else next.resolve(part === undefined ? undefined : { bytes: part, release() {} })
  }
}

export interface HandFed extends AsyncDisposable {
  readonly port: number
  readonly server: Server
  readonly origin: Origin
  readonly exchanges: readonly Exchange[]
  /** Set and not gone off. */
  readonly timers: Set<{ readonly ms: number; readonly goOff: () => void }>
  /** Lets all timers go off that are set now. */
  expire(): void
  /** The next body that is asked of the packer. */
  nextBody(): Promise<HandFedBody>
  /** Resolves when so many requests wait for a place. */
  untilWaiting(count: number): Promise<void>
  get(path: string, options?: Parameters<typeof get>[2]): Promise<Answer>
}

export interface HandFedOptions {
  readonly limits?: Partial<Limits>
  readonly users?: readonly string[] | undefined
  readonly larder?: Larder
  readonly listJson?: () => Promise<Uint8Array>
  readonly openLog?: () => Promise<Readable | undefined>
  readonly leases?: Partial<Leases>
}

/** Promises and the events of sockets on this machine get their turn. */
export const turnOfTheLoop = () => new Promise<void>((resolve) => setImmediate(resolve))

export async function openHandFed(options: HandFedOptions = {}): Promise<HandFed> {
  const bodies: HandFedBody[] = []
  const waiting: ((body: HandFedBody) => void)[] = []
  const timers = new Set<{ readonly ms: number; readonly goOff: () => void }>()
  const exchanges: Exchange[] = []
  const openBody = () => {
    const body = new HandFedBody()
    const wait = waiting.shift()
    if (wait === undefined) bodies.push(body)
    else wait(body)
    return body
  }
  const limits = { ...defaultLimits, ...options.limits }
  const stores = combineStores([standInStore(options)])
  const packer = {
    openNar: openBody,
    openCompressedNar: openBody,
    listJson: options.listJson,
  } as unknown as Packer
  const origin: Origin = {
    stores,
    packer,
    larder: options.larder,
    catalogue: { find: () => undefined, findObject: stores.find, replaceKeys() {} },
    transfers: createQueue(limits.concurrentNars, limits.waitingNars),
    limits,
    log: silentLog,
    outage: createStoreOutage(silentLog, () => 0),
    after(ms, callback) {
      const timer = {
        ms,
        goOff() {
          timers.delete(timer)
          callback()
        },
      }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
  }
  const server = serve(origin, options.users, exchanges)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    server,
    origin,
    exchanges,
    timers,
    expire() {
      for (const { goOff } of [...timers]) goOff()
    },
    nextBody: () =>
      bodies.length > 0 ? Promise.resolve(bodies.shift()!) : new Promise((resolve) => waiting.push(resolve)),
    async untilWaiting(count) {
      while (origin.transfers.waiting !== count) await turnOfTheLoop()
    },
    get: (path, request) => get(port, path, request),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function serve(origin: Origin, users: readonly string[] | undefined, exchanges: Exchange[]): Server {
  const known = users?.map((name) => ({ ...ben, name }))
  const verifier = createVerifier({
    users: known ?? [ben],
    throttle: createLoginThrottle(async () => {}),
    now: Date.now,
  })
  const cacheHeaders = createCacheHeaders(false, 'deny')
  const feed = new PathFeed([])
  const site: Site = {
    origin,
    particulars: () => ({
      version: '0',
      priority: 30,
      wantMassQuery: true,
      publicKeys: [],
      indexPage: undefined,
      isPublic: false,
      takesPushes: false,
      contact: undefined,
      pages: new Set(),
    }),
    names: new NameIndex(feed),
    stores: [],
    here: origin.stores,
    depot: undefined,
    usage: undefined,
    readService: () => undefined,
    readStatus: () => ({
      now: new Date(),
      service: undefined,
      stores: [],
      larder: undefined,
      transfersUnderWay: 0,
      transfersWaiting: 0,
      answersAbsent: false,
    }),
  }
  const app = createApp(
    site,
    createEventStreams({ after: origin.after, mayContinue: () => true }),
    new VersionIndex(feed),
  )
  const handle = createHandler(
    origin,
    createDoor(
      verifier,
      createAuthenticator(verifier, undefined),
      createAccessRules({ takesPushes: false, hasInvitations: false }),
    ),
    (request, response) =>
      new Reply(request, response, cacheHeaders, { exchanged: (exchange) => void exchanges.push(exchange) }),
    (reply) => {
      keepReply(reply)
      app(reply.request, reply.response)
    },
  )
  return createPublicServer(origin.limits, handle)
}

function standInStore({ leases, openLog }: HandFedOptions): Store {
  const info: PathInfo = {
    storePath: `/nix/store/${hashPart}-thing`,
    narHash: `sha256:${narHash}`,
    narSize,
    references: [],
    deriver: undefined,
    signatures: [],
    contentAddress: undefined,
    registrationTime: 0,
    ultimate: true,
  }
  const store: Store = {
    name: 'stand-in',
    storeDir: '/nix/store',
    generation: () => 1,
    find: (asked, fits) => (asked === hashPart && fits?.(object) !== false ? object : undefined),
    findSystem: () => undefined,
    withdraw() {},
    leases: { covers: () => true, take: async () => {}, hold: async () => () => {}, ...leases },
    openLog: openLog ?? (async () => undefined),
    findRealisation: () => undefined,
    health: () => {
      throw new Error('not asked here')
    },
  }
  const object: StoreObject = { info, form: { kind: 'tree', realPath: info.storePath }, store, trust: 'ours' }
  return store
}

export { benAuthorization }
