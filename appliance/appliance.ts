/**
 * The appliance from start to stop: state, keys and users, the store, the cache, listeners. What is opened is disposed
 * of in reverse order: the public listener first, so that downloads under way finish while everything behind it still
 * works.
 */
import { join } from 'node:path'
import type { Logger } from 'pino'

import { Fault, openCache, type Reloadable } from '../src/index.ts'
import { readClientProgram } from './bundles.ts'
import { createVisitors } from './cloudflare/visitors.ts'
import { Complaint } from './complaint.ts'
import type { Config } from './config/config.ts'
import { type LoadedConfig, loadConfig } from './config/load-config.ts'
import type { ConfigSource } from './config/read-document.ts'
import type { Machine } from './machine.ts'
import { createMetrics } from './operator/metrics.ts'
import { createOperatorServer } from './operator/operator-server.ts'
import { createReport } from './operator/report.ts'
import { toServiceStatus } from './operator/service-status.ts'
import type { StatusReport } from './operator/status.ts'
import { type Listener, openListener } from './server/listener.ts'
import { openObservation } from './server/open-observation.ts'
import { openOperator } from './server/open-operator.ts'
import { openStores } from './server/open-stores.ts'
import { openTunnel } from './server/open-tunnel.ts'
import { combine, createReloader, logWarnings, type Settings } from './server/reloader.ts'
import { originDrainMs } from './server/stop-budgets.ts'
import { findStoreProblem } from './server/store-checks.ts'
import { openState } from './state/state.ts'
import { usersFile } from './state/state-dir.ts'
import { lockStateDir } from './state/state-lock.ts'
import { findInheritedSocket } from './systemd/socket-activation.ts'
import type { Tunnel, TunnelStatus } from './tunnel/tunnel.ts'
import { loadReloadable } from './users/load-reloadable.ts'
import { openTeam } from './users/team.ts'
import { createTeamDocument } from './users/team-document.ts'
import type { TeamConfig } from './users/team-ledger.ts'
import { readVersion } from './version.ts'

export interface Appliance extends AsyncDisposable {
  /** What the tunnel is pointed at. */
  readonly listener: Listener
  readonly tunnel: Tunnel
  readonly operator: Listener | undefined
  /** The settings in force; a reload replaces them. */
  readonly inForce: Reloadable
  /** Reads the config again. A bad one is logged, and nothing changes. Never rejects for it. */
  reload(): Promise<void>
  /** Before a stop waits for requests: ends those that have no end of their own. */
  endStreams(): void
}

export interface ApplianceOptions {
  readonly machine: Machine
  readonly loaded: LoadedConfig
  /** Where `loaded` came from, for a reload. */
  readonly source: ConfigSource
  readonly log: Logger
  readonly onTunnelStatus?: (status: TunnelStatus) => void
}

/** @throws {Complaint} config, state, listen */
export async function startAppliance(options: ApplianceOptions): Promise<Appliance> {
  const { machine, loaded, log } = options
  const { config } = loaded
  const version = readVersion()
  const startedAt = new Date()
  await using starting = new AsyncDisposableStack()

  const state = await openState({ dir: config.state.dir, userId: machine.userId, log })
  starting.use(await lockStateDir(config.state.dir, machine.pid, log))
  const load = async (next: LoadedConfig): Promise<Settings> => ({
    loaded: next,
    base: await loadReloadable({ loaded: next, state, hostName: machine.hostName, log }),
  })
  const settings = await load(loaded)
  const { stores, depot, published, findExpected } = starting.use(await openStores(config, machine, version, log))
  const readHealth = () => stores.map((each) => each.health())
  const metrics = config.operator === undefined ? undefined : createMetrics(version)
  const observation = starting.use(openObservation({ config, stores, findExpected, metrics, log }))
  const { observer, totals, usage } = observation
  const team = await openTeam({
    document: createTeamDocument(join(config.state.dir, usersFile)),
    config: () => toTeamConfig(settings, config),
    readActivity: () => observation.readActivity(),
    now: () => new Date(),
    log,
    onChange: () => reloader.usersChanged(),
  })
  const inForce = combine(settings.base, team)
  logWarnings(settings, inForce, team, log)
  let listener: Listener | undefined
  let tunnel: Tunnel | undefined
  const cache = starting.use(
    await openCache({
      ...inForce,
      stores,
      pushes: depot && { depot, maxBodyBytes: config.depot?.maxBodyBytes },
      version,
      zstdVersion: machine.zstdVersion,
      readClientProgram,
      priority: config.priority,
      wantMassQuery: config.wantMassQuery,
      compression: config.compression,
      larder: config.larder ?? { dir: join(config.state.dir, 'larder'), maxBytes: 0, deltas: false },
      edgeCache: config.edgeCache,
      limits: config.limits,
      visitors: config.cloudflareAccess && createVisitors({ ...config.cloudflareAccess, now: () => new Date() }, log),
      team,
      readService: () => tunnel && toServiceStatus(startedAt, tunnel.status, totals),
      log,
      observer,
      usage,
    }).catch(complainOfLarder),
  )
  metrics?.watch(() => ({ ...cache.stats, stores: readHealth(), tunnel: tunnel?.status }))
  const reloader = createReloader({
    settings,
    team,
    log,
    load: () => load(loadConfig(options.source)),
    apply: (reloadable) => cache.reload(reloadable),
    onReloaded: () => tunnel?.retry(),
  })
  const findImpediment = () =>
    listener === undefined || listener.isDraining ? 'not listening' : findStoreProblem(stores)
  const readStatus = (): StatusReport | undefined =>
    listener && tunnel
      ? createReport({
          version,
          pid: machine.pid,
          startedAt,
          config,
          stores: readHealth(),
          cache,
          listener,
          tunnel: tunnel.status,
          inForce: reloader.inForce,
          team,
          totals,
          impediment: findImpediment(),
        })
      : undefined
  const operator =
    metrics &&
    (await openOperator(
      config,
      createOperatorServer({ findImpediment, readStatus, metrics, depot, published, team, usage, log }),
      log,
    ))
  if (operator !== undefined) starting.use(operator)
  const inheritedSocket = findInheritedSocket(machine.env, machine.pid)
  listener = starting.use(
    await openListener(cache.createServer(), config.listen, { drainMs: originDrainMs(config.tunnel), inheritedSocket }),
  )
  tunnel = starting.use(
    await openTunnel({
      config,
      origin: listener.url,
      machine,
      state,
      log,
      onStatus(status) {
        observation.tunnelChanged(status)
        options.onTunnelStatus?.(status)
      },
    }),
  )

  starting.defer(() => cache.endStreams())

  const running = starting.move()
  return {
    listener,
    tunnel,
    operator,
    get inForce() {
      return reloader.inForce
    },
    reload: () => reloader.reload(),
    endStreams: () => cache.endStreams(),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

/** Another process uses the larder, or its directory holds other files: the message says which. */
function complainOfLarder(error: unknown): never {
  throw error instanceof Fault ? new Complaint('refused', error.message, { cause: error }) : error
}

function toTeamConfig({ loaded: { config }, base }: Settings, started: Config): TeamConfig {
  return {
    users: base.users,
    source: config.access.kind === 'generated' ? 'generated' : 'config',
    isMutable: config.mutableUsers,
    // A depot is opened at the start only.
    hasDepot: started.depot !== undefined,
  }
}
