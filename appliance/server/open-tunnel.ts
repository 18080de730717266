/**
 * The tunnel as the config wants it, pointed at the origin: the parts of tunnel/ put together, or a tunnel that is off.
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

export interface TunnelWish {
  readonly config: Config
  /** `http://127.0.0.1:8080` or `unix:/path`. */
  readonly origin: string
  readonly machine: Machine
  readonly state: State
  readonly log: Log
  readonly onStatus: (status: TunnelStatus) => void
}

/** Returns when the connector is under way, not when it is connected. */
export async function openTunnel({ config, origin, machine, state, log, onStatus }: TunnelWish): Promise<Tunnel> {
  const { tunnel: settings, runtimeDir } = config
  const processes = await openProcessTable()
  await sweepLeftovers(runtimeDir, processes, log)
  if (settings === undefined) return createClosedTunnel('no tunnel is configured', undefined)
  const findBinary = createBinaryFinder(
    { settings, env: machine.env, stateDir: config.state.dir, userId: machine.userId },
    log,
  )
  if (settings.isOptional && (await findBinary()) === undefined) {
    log.info({}, howToGetOut)
    return createClosedTunnel('no cloudflared was found', howToGetOut)
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

const howToGetOut =
  'This cache can be reached from this machine only; "burrow tunnel install" fetches cloudflared, and the next start gives it a public address'

function createClosedTunnel(reason: string, remedy: string | undefined): Tunnel {
  const status: TunnelStatus = { ...nothingKnown, state: 'off', since: new Date(), reason, remedy }
  return { status, retry() {}, async stop() {}, async [Symbol.asyncDispose]() {} }
}
