/** `burrow serve`: runs the service until a signal stops it. */
import { Command } from 'commander'
import type { Logger } from 'pino'

import { type Appliance, startAppliance } from '../appliance.ts'
import { Complaint } from '../complaint.ts'
import { parseListenAddress } from '../config/listen-address.ts'
import { loadConfig } from '../config/load-config.ts'
import { createLog } from '../log/log.ts'
import type { Machine } from '../machine.ts'
import { originDrainMs, stopBudgets } from '../server/stop-budgets.ts'
import { awaitStopSignal } from '../server/stop-signal.ts'
import { resetWaitingConnections } from '../server/waiting-connections.ts'
import { createServiceManager } from '../systemd/service-manager.ts'
import { createSetupPrinter } from '../terminal/setup-printer.ts'
import type { TunnelStatus } from '../tunnel/tunnel.ts'

interface ServeOptions {
  readonly config?: string
  readonly listen?: string
  readonly tunnel: boolean
}

export function serveCommand(machine: Machine): Command {
  return new Command('serve')
    .description('serve the Nix store of this machine')
    .option(
      '-l, --listen <address>',
      'address to listen on, overrides the config: 127.0.0.1:8080, [::1]:8080 or unix:/path',
    )
    .option('--no-tunnel', 'do not start a tunnel, overrides the config')
    .addHelpText(
      'after',
      `
Without a config, it listens on 127.0.0.1:8080, creates a signing key and a user in its state directory, and prints the settings for clients. If cloudflared
is installed, it also opens a quick tunnel: a public HTTPS address that changes with every start and is protected by the password.

Signals: SIGHUP reloads users, keys, the index page and the log level, and restarts a failed tunnel. SIGTERM and SIGINT stop it gracefully:
first the tunnel (its grace period, ${stopBudgets.tunnelGraceMs / 1000} s by default), then the listener (at most ${stopBudgets.drainMs / 1000} s); running downloads may finish. A second signal
stops it immediately and cuts off downloads; a second SIGINT (Ctrl-C) counts only one second after the first.

  burrow serve
  burrow --config /etc/burrow/burrow.json serve
  burrow serve --listen unix:/run/burrow/burrow.sock --no-tunnel`,
    )
    .action(async (_options, command: Command) => {
      try {
        await serve(machine, command.optsWithGlobals<ServeOptions>())
      } catch (error) {
        if (error instanceof Complaint) await resetWaitingConnections(machine)
        throw error
      }
    })
}

async function serve(machine: Machine, { config: file, listen, tunnel }: ServeOptions): Promise<void> {
  if (listen !== undefined) requireListenAddress(listen)
  const source = { machine, file, overrides: { listen, tunnel: tunnel ? undefined : ('off' as const) } }
  const loaded = loadConfig(source)
  const log = createLog(loaded.config.log, machine.stderr)
  // Registered early: a signal that arrives during the start takes effect after it.
  const stopSignal = awaitStopSignal(machine)
  const service = createServiceManager({ env: machine.env, pid: machine.pid, log })
  let running: Appliance | undefined
  let isReloadWanted = false
  machine.onSignal('SIGHUP', () => {
    isReloadWanted = true
    if (running !== undefined) void service.reload(running.reload)
  })

  const setupPrinter = createSetupPrinter(machine, loaded.config)
  const onTunnelStatus = (status: TunnelStatus) => {
    setupPrinter.update(status)
    service.tellTunnel(status)
  }
  const appliance = await startAppliance({ machine, loaded, source, log, onTunnelStatus })
  running = appliance
  // The config may have changed after it was read.
  if (isReloadWanted) void service.reload(appliance.reload)
  const { listener, operator } = appliance
  log.info(
    {
      listen: listener.url,
      operator: operator?.url,
      config: loaded.config.file ?? 'none',
      store: loaded.config.store.realDir,
    },
    'Burrow is ready',
  )
  setupPrinter.begin(appliance)
  void service.begin(listener.address)

  const signal = await stopSignal
  running = undefined
  service.beginStop()
  await stop(appliance, signal, machine, log, originDrainMs(loaded.config.tunnel))
}

function requireListenAddress(listen: string): void {
  const parsed = parseListenAddress(listen)
  if ('refusal' in parsed) throw new Complaint('usage', `Cannot use --listen "${listen}": it ${parsed.refusal}`)
}

/**
 * The tunnel stops first: the edge sends no new requests, and running requests may finish until the end of the grace
 * period.
 */
async function stop(
  appliance: Appliance,
  signal: string,
  machine: Machine,
  log: Logger,
  drainMs: number,
): Promise<void> {
  const { tunnel, listener } = appliance
  log.info(
    { signal, requestsUnderWay: listener.requestsUnderWay },
    'Stopping: running requests may finish; another signal (Ctrl-C again, after a second) cuts them off',
  )
  appliance.endStreams()
  await tunnel.stop()
  const { cut } = await listener.drain(drainMs)
  if (cut > 0)
    log.warn(
      { cut, seconds: drainMs / 1000 },
      'Cut off requests that were still running when the time for stopping was over',
    )
  const overdue = setTimeout(() => {
    log.error({ seconds: stopBudgets.closeMs / 1000 }, 'The cache did not close in time: exiting anyway')
    machine.exit(1)
  }, stopBudgets.closeMs)
  await appliance[Symbol.asyncDispose]()
  clearTimeout(overdue)
  log.info({}, 'Stopped')
}
