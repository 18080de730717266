/**
 * One connector kept running: found, prepared, started, watched, started again after a wait that fits its end, stopped
 * when asked.
 *
 *   sweep orphans -> find binary -> prepare -> run ... end -> wait -> find binary ...
 */
import { type Connector, startConnector } from './connector.ts'
import type { EndDiagnosis } from './explain/connector-problems.ts'
import { createFactsKeeper, type FactsKeeper } from './facts-keeper.ts'
import { createDeathSignalFinder } from './launch/death-signal.ts'
import type { Binary, Launch } from './launch/launch.ts'
import { sweepOrphans } from './launch/orphans.ts'
import { patienceMs, prepare } from './launch/preparation.ts'
import { openProcessTable, type ProcessTable } from './launch/process-identity.ts'
import { nothingRuns, RestartPause } from './restart-pause.ts'
import { createStatusBoard, type StatusBoard } from './status-board.ts'
import type { Tunnel, TunnelStatus } from './tunnel.ts'
import { unlessAborted } from './tunnel-clock.ts'
import type { TunnelParts } from './tunnel-parts.ts'
import type { Observation } from './watch/connector-watch.ts'

export class Supervisor implements Tunnel {
  readonly #parts: TunnelParts
  readonly #board: StatusBoard
  readonly #facts: FactsKeeper
  readonly #pause: RestartPause
  readonly #findDeathSignal: (searchPath: string) => Promise<readonly string[]>
  readonly #stopping = new AbortController()
  readonly #life: Promise<void>
  #processes: ProcessTable | undefined
  #ownStartTime: string | undefined
  #connector: Connector | undefined
  #starts = 0
  /** The config was reloaded after the running connector had read its settings. */
  #isRetryWanted = false

  constructor(parts: TunnelParts) {
    const { settings, clock, log, memory, onStatus } = parts
    this.#parts = parts
    this.#board = createStatusBoard({
      first: { mode: settings.mode, hostname: settings.hostname, reason: 'cloudflared is being started' },
      clock,
      log,
      onStatus,
    })
    this.#findDeathSignal = createDeathSignalFinder(clock, log)
    this.#facts = createFactsKeeper(memory, clock, log)
    this.#pause = new RestartPause(settings, clock, this.#board, this.#stopping.signal)
    this.#life = this.#live()
  }

  get status(): TunnelStatus {
    return this.#board.status
  }

  retry(): void {
    if (!this.#pause.isUnderWay) this.#isRetryWanted = true
    this.#pause.resetBackOffs()
    this.#pause.end()
  }

  stop(): Promise<void> {
    if (!this.#stopping.signal.aborted) {
      this.#stopping.abort()
      this.#board.set({
        isStopping: true,
        reason: 'the tunnel is stopping; active requests may finish',
        remedy: undefined,
        nextAttempt: undefined,
      })
      this.#connector?.stop()
      this.#pause.end()
    }
    return this.#life
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted
  }

  async #live(): Promise<void> {
    const { log } = this.#parts
    try {
      await this.#prepareSelf()
      while (!this.#isStopping) await this.#runOnce()
    } catch (error) {
      // Nothing in here is meant to throw: a bug must not take the cache down with it.
      log.error({ err: error }, 'The tunnel has stopped because of a bug in Burrow. Restart Burrow')
    }
    await this.#facts.end()
    const reason = this.#isStopping ? 'the tunnel was stopped' : 'the tunnel has stopped because of a bug in Burrow'
    this.#board.set({
      state: 'off',
      reason,
      remedy: this.#isStopping ? undefined : 'restart Burrow',
      ...nothingRuns,
      nextAttempt: undefined,
    })
  }

  async #prepareSelf(): Promise<void> {
    const { ownPid, clock, ...parts } = this.#parts
    const processes = await openProcessTable()
    this.#processes = processes
    this.#ownStartTime = await processes.findStartTime(ownPid)
    const { signal } = this.#stopping
    await unlessAborted(clock, signal, patienceMs, sweepOrphans({ ...parts, clock, processes, signal }))
  }

  async #runOnce(): Promise<void> {
    this.#isRetryWanted = false
    const diagnosis = await this.#attempt()
    this.#connector = undefined
    if (diagnosis === undefined || this.#isStopping) return
    this.#facts.keep({ lastConnected: this.status.lastConnected?.toISOString() })
    if (diagnosis.pace === 'at-once') {
      this.#parts.log.info({ reason: diagnosis.reason }, 'Restarting cloudflared at once')
      return this.#board.set({ ...nothingRuns, reason: diagnosis.reason, remedy: undefined })
    }
    if (!this.#isRetryWanted) return await this.#pause.take(diagnosis, diagnosis.pace)
    this.#parts.log.warn(
      { reason: diagnosis.reason },
      'cloudflared ended. The config has been reloaded since, so it is restarted at once',
    )
    this.#board.set({ ...nothingRuns, lastError: diagnosis.reason })
  }

  /** `undefined`: no connector was started. */
  async #attempt(): Promise<EndDiagnosis | undefined> {
    const prepared = await prepare(this.#parts, this.#stopping.signal)
    if (prepared === undefined || 'diagnosis' in prepared) return prepared?.diagnosis
    const { launch } = prepared
    const launcher = await this.#findDeathSignal(this.#parts.searchPath ?? launch.env.PATH ?? '')
    if (!this.#isStopping) return await this.#run(prepared.binary, launch, launcher)
    await launch.forgetSecret()
    return undefined
  }

  async #run(binary: Binary, launch: Launch, launcher: readonly string[]): Promise<EndDiagnosis> {
    const { settings, ownPid } = this.#parts
    this.#starts += 1
    const connector = startConnector({
      ...this.#parts,
      launch,
      launcher,
      processes: this.#processes!,
      owner: { pid: ownPid, startTime: this.#ownStartTime },
      onObservation: (observation) => this.#observe(observation, launch),
      onStable: () => this.#pause.resetBackOffs(),
      onError: (lastError) => this.#board.set({ lastError }),
    })
    this.#connector = connector
    const restarts = this.#starts - 1
    this.#parts.log.info(
      { connector: { pid: connector.pid, path: binary.path, version: binary.version, restarts } },
      'cloudflared was started',
    )
    this.#board.set({
      state: 'starting',
      reason: 'cloudflared was started',
      remedy: undefined,
      nextAttempt: undefined,
      binary,
      pid: connector.pid,
      restarts,
      hostname: settings.hostname ?? (settings.mode === 'quick' ? undefined : this.status.hostname),
      tunnelId: launch.tunnelId,
    })
    this.#facts.keep({ restarts, tunnelId: launch.tunnelId })
    return await connector.ended
  }

  #observe({ tunnelId: told, hostname: found, ...observation }: Observation, launch: Launch): void {
    const { status } = this
    const tunnelId = launch.tunnelId ?? told
    const hostname = found ?? status.hostname
    const lastConnected = observation.connections > 0 ? new Date(this.#parts.clock.now()) : status.lastConnected
    this.#board.set({ ...observation, tunnelId, hostname, lastConnected })
    // Only when it connects and disconnects: changes in between need no write.
    const hasTurned = status.connections > 0 !== observation.connections > 0
    const when = hasTurned ? lastConnected?.toISOString() : undefined
    this.#facts.keep({ tunnelId, hostname, connectorId: observation.connectorId, lastConnected: when })
  }
}
