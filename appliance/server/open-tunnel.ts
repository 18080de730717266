/**
 * Starts the configured tunnel with the listener as its origin; without one, returns a tunnel in state `off`.
 */
import { type Log, systemClock } from '../../src/index.ts'
import type { Config } from '../config/config.ts'
import type { Machine } from '../machine.ts'
import type { State } from '../state/state.ts'
import { createBinaryFinder } from '../tunnel/find/binary.ts'
import { sweepLeftovers } from '../tunnel/launch/leftovers.ts'
import { createLaunchPreparer } from '../tunnel/launch/prepare-launch.ts'
import { openProcessTable } from '../tunnel/launch/process-identity.ts'
import { startTunnel } from '../tunnel/start-tunnel.ts'
import { nothingKnown, type Tunnel, type TunnelStatus } from '../tunnel/tunnel.ts'

export interface OpenTunnelOptions {
  readonly config: Config
  /** `http://127.0.0.1:8080` or `unix:/path`. */
  readonly origin: string
  readonly machine: Machine
  readonly state: State
  readonly log: Log
  readonly onStatus: (status: TunnelStatus) => void
}

/** Returns when the connector has been launched, not when it is connected. */
export async function openTunnel({
  config,
  origin,
  machine,
  state,
  log,
  onStatus,
}: OpenTunnelOptions): Promise<Tunnel> {
  const { tunnel: settings, runtimeDir } = config
  const processes = await openProcessTable()
  await sweepLeftovers(runtimeDir, processes, log)
  if (settings === undefined) return createClosedTunnel('no tunnel is configured', undefined)
  const findBinary = createBinaryFinder(
    { settings, env: machine.env, stateDir: config.state.dir, userId: machine.userId },
    log,
  )
  if (settings.isOptional && (await findBinary()) === undefined) {
    log.info({}, localOnlyHint)
    return createClosedTunnel('no cloudflared was found', localOnlyHint)
  }
  const launchPreparer = createLaunchPreparer({
    settings,
    origin,
    runtimeDir,
    env: machine.env,
    owner: { pid: machine.pid, startTime: await processes.findStartTime(machine.pid) },
  })
  const tunnel = startTunnel({
    settings,
    findBinary,
    prepareLaunch: (binary) => launchPreparer.prepareLaunch(binary),
    memory: await state.openTunnelMemory(),
    log,
    clock: { now: Date.now, after: systemClock.after, random: Math.random },
    endProcess: machine.endProcess,
    ownPid: machine.pid,
    ...(machine.env.PATH === undefined ? {} : { searchPath: machine.env.PATH }),
    onStatus,
  })
  return {
    get status() {
      return tunnel.status
    },
    retry: () => tunnel.retry(),
    stop: () => tunnel.stop(),
    async [Symbol.asyncDispose]() {
      await tunnel[Symbol.asyncDispose]()
      await launchPreparer[Symbol.asyncDispose]()
    },
  }
}

const localOnlyHint =
  'This cache can only be reached from this machine. Run "burrow tunnel install" to install cloudflared, and restart Burrow to get a public address'

function createClosedTunnel(reason: string, remedy: string | undefined): Tunnel {
  const status: TunnelStatus = { ...nothingKnown, state: 'off', since: new Date(), reason, remedy }
  return { status, retry() {}, async stop() {}, async [Symbol.asyncDispose]() {} }
}
