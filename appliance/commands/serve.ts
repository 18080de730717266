/** `burrow serve`: the appliance, from its start to the signal that stops it. */
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
import { createSetupTeller } from '../terminal/setup-printer.ts'
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
      'where to listen, instead of what the config says: 127.0.0.1:8080, [::1]:8080 or unix:/path',
    )
    .option('--no-tunnel', 'stay on this machine, whatever the config says')
    .addHelpText(
      'after',
      `
Without a config it listens on 127.0.0.1:8080, makes a signing key and a user in its state directory, and prints what clients need. Where a
cloudflared is found it opens a quick tunnel too: a public https address that changes with every start; the password protects it.

Signals: SIGHUP reads users, keys, the index page and the log level again, and starts a tunnel that failed anew. SIGTERM and SIGINT stop it:
first the tunnel (its grace period, ${stopBudgets.tunnelGraceMs / 1000} s unless set), then the listener (${stopBudgets.drainMs / 1000} s at the most), while downloads under way may finish. A second signal
ends it at once and cuts them; a second SIGINT (Ctrl-C) counts a second after the first.

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
  // Before anything takes long: a signal during the start is obeyed after it.
  const stopSignal = awaitStopSignal(machine)
  const service = createServiceManager({ env: machine.env, pid: machine.pid, log })
  let running: Appliance | undefined
  let isReloadWanted = false
  machine.onSignal('SIGHUP', () => {
    isReloadWanted = true
    if (running !== undefined) void service.reload(running.reload)
  })

  const teller = createSetupTeller(machine, loaded.config)
  const onTunnelStatus = (status: TunnelStatus) => {
    teller.tell(status)
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
  teller.begin(appliance)
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
 * The tunnel first: the edge sends nothing new, and what is under way is answered to its end or to the end of the grace
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
    'Stopping: requests under way may finish; another signal (Ctrl-C again, after a second) cuts them',
  )
  await tunnel.stop()
  const { cut } = await listener.drain(drainMs)
  if (cut > 0)
    log.warn(
      { cut, seconds: drainMs / 1000 },
      'Cut the requests that were still under way at the end of the time for stopping',
    )
  const overdue = setTimeout(() => {
    log.error({ seconds: stopBudgets.closeMs / 1000 }, 'The cache did not close in time: ending without it')
    machine.exit(1)
  }, stopBudgets.closeMs)
  await appliance[Symbol.asyncDispose]()
  clearTimeout(overdue)
  log.info({}, 'Stopped')
}
