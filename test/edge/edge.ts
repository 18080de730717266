/**
 * A Cloudflare edge on loopback: connectors register with it as with the real one (`--protocol http2`), eyeballs fetch
 * from it over plain HTTP, and what the real edge does to requests and replies on the way is done to them. A real
 * cloudflared is pointed at it by
 *
 *   TUNNEL_TOKEN=<edge.token()> TUNNEL_EDGE=<edge.connectorAddress>,<the same again> TUNNEL_CACERT=<edge.caFile> \
 *     cloudflared tunnel --no-autoupdate --no-prechecks --protocol http2 --metrics 127.0.0.1:0 run --url http://127.0.0.1:PORT
 *
 * One address more is one connection more, up to four; a single one loops without back-off when it is refused. For a
 * quick tunnel: `cloudflared tunnel --quick-service <edge.quickServiceUrl> --protocol http2 …`. Sources: cloudflared's
 * connection/ and tunnelrpc/, Cloudflare's docs.
 */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { CacheRule } from './cache-policy.ts'
import { createCertificate } from './certificate.ts'
import { type ConfigAnswer, pushConfig } from './config-push.ts'
import type { Connection } from './connection.ts'
import { ConnectorSide, type RegistrationAttempt } from './connector-side.ts'
import { EdgeCache } from './edge-cache.ts'
import type { Exchange } from './exchange.ts'
import { type EdgeLimits, EyeballSide } from './eyeball-side.ts'
import { Faults } from './faults.ts'
import { createQuickService } from './quick-service.ts'
import type { Refusal, RegistrationDetails, RegistrationRequest } from './registration.ts'
import { type Credentials, Tunnels } from './tunnels.ts'

export type { CacheRule } from './cache-policy.ts'
export type { RegistrationAttempt } from './connector-side.ts'
export type { CacheStatus, Exchange } from './exchange.ts'
export type { EdgeLimits } from './eyeball-side.ts'
export type { Refusal } from './registration.ts'
export type { Credentials } from './tunnels.ts'

export interface EdgeOptions extends Partial<EdgeLimits> {
  /** The public host name: every request's :authority, whatever the eyeball's Host. */
  readonly hostname?: string
  /** The connector gets its ingress from `pushConfig`, which each new connection is sent as well. */
  readonly isRemotelyManaged?: boolean
  /** Request bodies of unknown length are lost, as over QUIC. */
  readonly isQuicLike?: boolean
  readonly cacheRule?: CacheRule
  /** Milliseconds; for ages in the cache. */
  readonly now?: () => number
}

export type EdgeConnection = RegistrationRequest &
  RegistrationDetails & { readonly hostname: string; readonly localConfiguration: string | undefined }

export async function openEdge(options: EdgeOptions = {}): Promise<Edge> {
  const hostname = options.hostname ?? 'cache.example.org'
  await using opening = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'burrow-edge-'))
  opening.defer(() => rm(dir, { recursive: true, force: true }))
  const certificate = await createCertificate(hostname)
  const caFile = join(dir, 'ca.pem')
  await writeFile(caFile, certificate.cert)
  const edge = new Edge(hostname, caFile, options, { certificate })
  opening.use(edge)
  await edge.listen()
  edge.owns(opening.move())
  return edge
}

export class Edge implements AsyncDisposable {
  readonly hostname: string
  /** PEM, for `--cacert`, and for whoever fetches from `httpsUrl`. */
  readonly caFile: string
  /** All that eyeballs asked, in order; see `Exchange`. */
  readonly exchanges: Exchange[] = []
  /** May be changed while it runs. */
  readonly limits: EdgeLimits
  isQuicLike: boolean
  isRemotelyManaged: boolean
  cacheRule: CacheRule
  /** The CF-Connecting-IP of the requests to come; `undefined` for the true one. */
  eyeballAddress: string | undefined
  readonly #faults = new Faults()
  readonly #cache = new EdgeCache()
  readonly #tunnels: Tunnels
  readonly #connectors: ConnectorSide
  readonly #quick
  readonly #plain: Server
  readonly #tls: Server
  readonly #waiting = new Set<(exchange: Exchange) => void>()
  #config: { readonly version: number; readonly config: object } | undefined
  #owned: AsyncDisposableStack | undefined

  constructor(
    hostname: string,
    caFile: string,
    options: EdgeOptions,
    { certificate }: { readonly certificate: Awaited<ReturnType<typeof createCertificate>> },
  ) {
    this.hostname = hostname
    this.caFile = caFile
    this.limits = {
      bodyBytes: options.bodyBytes ?? 100_000_000,
      replyMs: options.replyMs ?? 120_000,
      cachedBytes: options.cachedBytes ?? 512 * 2 ** 20,
    }
    this.isQuicLike = options.isQuicLike ?? false
    this.isRemotelyManaged = options.isRemotelyManaged ?? false
    this.cacheRule = options.cacheRule ?? { eligible: 'by-extension' }
    this.#tunnels = new Tunnels(hostname)
    this.#quick = createQuickService(this.#tunnels)
    this.#connectors = new ConnectorSide({
      certificate,
      tunnels: this.#tunnels,
      faults: this.#faults,
      location: 'lab01',
      isRemotelyManaged: () => this.isRemotelyManaged,
      registered: (connection) => this.#registered(connection),
    })
    const eyeballs = new EyeballSide({
      connectors: this.#connectors,
      cache: this.#cache,
      faults: this.#faults,
      limits: this.limits,
      location: 'lab01',
      now: options.now ?? Date.now,
      cacheRule: () => this.cacheRule,
      isQuicLike: () => this.isQuicLike,
      eyeballAddress: () => this.eyeballAddress,
      record: (exchange) => this.exchanges.push(exchange),
      finished: (exchange) => {
        for (const tell of this.#waiting) tell(exchange)
      },
    })
    this.#plain = eyeballs.createServer()
    this.#tls = eyeballs.createTlsServer(certificate)
  }

  /** `127.0.0.1:PORT`, for `--edge`. */
  get connectorAddress(): string {
    return `127.0.0.1:${this.#connectors.port}`
  }

  /** The eyeball side, plain, for Nix and curl; requests count as https there all the same. */
  get url(): string {
    return `http://127.0.0.1:${portOf(this.#plain)}`
  }

  get httpsUrl(): string {
    return `https://127.0.0.1:${portOf(this.#tls)}`
  }

  /** For cloudflared's hidden `--quick-service`. */
  get quickServiceUrl(): string {
    return `http://127.0.0.1:${portOf(this.#quick.server)}`
  }

  token(tunnelId?: string): string {
    return this.#tunnels.token(tunnelId)
  }

  /** What goes into a credentials JSON file. */
  credentials(tunnelId?: string): Credentials {
    return this.#tunnels.credentials(tunnelId)
  }

  /** Registered now; an unregistered one is not. */
  get connections(): EdgeConnection[] {
    return this.#connectors.connections.map(describeConnection)
  }

  /** Each registration that was tried, and what it was told. */
  get registrations(): readonly RegistrationAttempt[] {
    return this.#connectors.attempts
  }

  /** Resolves when `count` connections are registered at the same time. */
  connected(count: number): Promise<void> {
    return this.#connectors.up.reached(count)
  }

  /** Resolves when `count` registered connections in all have been closed since the edge was opened. */
  lost(count: number): Promise<void> {
    return this.#connectors.lost.reached(count)
  }

  /** Resolves when `count` registrations in all have been tried since the edge was opened, whatever they were told. */
  attempted(count: number): Promise<void> {
    return this.#connectors.attempted.reached(count)
  }

  /** The next exchange that is finished and fits. */
  exchange(fits: (exchange: Exchange) => boolean = () => true): Promise<Exchange> {
    return new Promise((resolve) => {
      const tell = (exchange: Exchange) => {
        if (!fits(exchange)) return
        this.#waiting.delete(tell)
        resolve(exchange)
      }
      this.#waiting.add(tell)
    })
  }

  /** Severs registered connections at once, in the middle of whatever they carry: all, or the first `count`. */
  dropConnections(count?: number): void {
    this.#connectors.drop(count)
  }

  /**
   * Severs the connection that carries a reply when `bytes` of its body have passed: once, or so many times.
   * `undefined` stops it.
   */
  dropAfterBytes(bytes: number | undefined, times = 1): void {
    this.#faults.dropAfterBytes(bytes, times)
  }

  /** E.g. `{ cause: 'EDUPCONN', shouldRetry: true }`; `undefined` accepts again. Those that are registered stay. */
  refuseRegistration(refusal: Refusal | undefined, times?: number): void {
    this.#faults.refuseRegistration(refusal, times)
  }

  /** Registrations get no answer, so that the connector's RPC times out. */
  ignoreRegistrations(isIgnoring: boolean): void {
    this.#faults.refuseRegistration(isIgnoring ? 'silence' : undefined)
  }

  /** A new secret: `token()` gives a new one, old ones are refused at their next registration. */
  rotateSecret(): void {
    this.#tunnels.rotate()
  }

  deleteTunnel(): void {
    this.#tunnels.remove(this.#tunnels.main.id)
  }

  challenge(isChallenging: boolean): void {
    this.#faults.isChallenging = isChallenging
  }

  /** After an unregistration the edge does not close, so that the connector waits its whole grace period. */
  get keepConnectionsOnUnregister(): boolean {
    return this.#faults.keepConnectionsOnUnregister
  }

  set keepConnectionsOnUnregister(isKeeping: boolean) {
    this.#faults.keepConnectionsOnUnregister = isKeeping
  }

  /** The connectors' port is closed (ECONNREFUSED); the connections that are there stay. */
  refuseConnections(): void {
    this.#connectors.refuse()
  }

  /** Opens the same port again. */
  acceptConnections(): Promise<void> {
    return this.#connectors.listen()
  }

  /** The quick service answers 429. */
  refuseQuickTunnels(isRefusing: boolean): void {
    this.#quick.isRefusing = isRefusing
  }

  purgeCache(): void {
    this.#cache.purge()
  }

  /**
   * Sends a new version of the configuration to every connection, now and as they come. Resolves with the answers;
   * rejects if one is lost.
   */
  pushConfig(config: object): Promise<ConfigAnswer[]> {
    this.#config = { version: (this.#config?.version ?? -1) + 1, config }
    const { version } = this.#config
    return Promise.all(this.#connectors.connections.map((connection) => pushConfig(connection, version, config)))
  }

  async listen(): Promise<void> {
    await this.#connectors.listen()
    for (const server of [this.#plain, this.#tls, this.#quick.server]) {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
    }
  }

  /** What goes when the edge goes. */
  owns(resources: AsyncDisposableStack): void {
    this.#owned = resources
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connectors.close()
    for (const server of [this.#plain, this.#tls, this.#quick.server]) {
      server.closeAllConnections()
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    }
    const owned = this.#owned
    this.#owned = undefined
    await owned?.disposeAsync()
  }

  #registered(connection: Connection): void {
    if (!this.isRemotelyManaged || !this.#config) return
    // A connection that is lost meanwhile gets it when it comes back.
    pushConfig(connection, this.#config.version, this.#config.config).catch(() => {})
  }
}

function describeConnection({ registration, localConfiguration }: Connection): EdgeConnection {
  const { tunnel, ...rest } = registration!
  return { ...rest, hostname: tunnel.hostname, localConfiguration }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}
