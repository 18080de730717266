/** `burrow serve`: the appliance, from its start to the signal that stops it. */
import { Command } from 'commander'
import type { Logger } from 'pino'

import { type Appliance, startAppliance } from '../appliance.ts'
import { stopBudgets } from '../budgets.ts'
import { formatClientSetup, type Login } from '../client-setup.ts'
import { Complaint } from '../complaint.ts'
import { parseListenAddress } from '../config/listen-address.ts'
import { type LoadedConfig, loadConfig } from '../config/load-config.ts'
import { urlOf } from '../listener.ts'
import { createLog } from '../log.ts'
import type { Machine } from '../machine.ts'
import { awaitStopSignal } from '../stop-signal.ts'

interface ServeOptions {
  readonly config?: string
  readonly listen?: string
}

export function serveCommand(machine: Machine): Command {
  return new Command('serve')
    .description('serve the Nix store of this machine')
    .option('-l, --listen <address>', 'where to listen, instead of what the config says: 127.0.0.1:8080, [::1]:8080 or unix:/path')
    .addHelpText(
      'after',
      `
Without a config it listens on 127.0.0.1:8080, makes a signing key and a user in its state directory, and prints what clients need.

Signals: SIGHUP reads users, keys, the index page and the log level again. SIGTERM and SIGINT stop it: downloads under way may finish
(${stopBudgets.drainMs / 1000} s at the most), and a second signal ends it at once.

  burrow serve
  burrow --config /etc/burrow/burrow.json serve
  burrow serve --listen unix:/run/burrow/burrow.sock`,
    )
    .action((_options, command: Command) => serve(machine, command.optsWithGlobals<ServeOptions>()))
}

async function serve(machine: Machine, { config: file, listen }: ServeOptions): Promise<void> {
  if (listen !== undefined) requireListenAddress(listen)
  const source = { machine, file, overrides: { listen } }
  const loaded = loadConfig(source)
  const log = createLog(loaded.config.log, machine.stderr)
  // Before anything takes long: a signal during the start is obeyed after it.
  const stopSignal = awaitStopSignal(machine)
  let running: Appliance | undefined
  let isReloadWanted = false
  machine.onSignal('SIGHUP', () => {
    isReloadWanted = true
    void running?.reload()
  })

  const appliance = await startAppliance({ machine, loaded, source, log })
  running = appliance
  // The config may have changed after it was read.
  if (isReloadWanted) void appliance.reload()
  tellReady(machine, loaded, appliance, log)

  const signal = await stopSignal
  running = undefined
  await stop(appliance, signal, machine, log)
}

function requireListenAddress(listen: string): void {
  const parsed = parseListenAddress(listen)
  if ('refusal' in parsed) throw new Complaint('usage', `Cannot use --listen "${listen}": it ${parsed.refusal}`)
}

function tellReady(machine: Machine, { config }: LoadedConfig, { listener, operator, inForce }: Appliance, log: Logger): void {
  log.info({ listen: listener.url, operator: operator?.url, config: config.file ?? 'none', store: config.store.realDir }, 'Burrow is ready')
  const { login, hint } = toLogin(machine, config.access.kind, inForce.users)
  const setup = formatClientSetup({ url: urlOf(listener.address), storeDir: config.store.dir, publicKeys: inForce.signing.map((key) => key.publicKey), login })
  machine.stdout.write(`${setup}${hint}\n`)
}

/** The password of the user that Burrow made is shown, since nobody could know it, but not to a journal, which keeps it and shows it to others. */
function toLogin(machine: Machine, kind: string, users: Appliance['inForce']['users']): { login: Login | undefined; hint: string } {
  if (users === undefined) return { login: undefined, hint: '' }
  const [user, ...others] = users
  if (kind === 'generated' && user !== undefined && machine.env.JOURNAL_STREAM === undefined) {
    return { login: { name: user.name, password: user.secret.kind === 'plain' ? user.secret.password : undefined }, hint: '' }
  }
  const name = others.length === 0 && user !== undefined ? user.name : 'NAME'
  return { login: undefined, hint: `# For the netrc entry: burrow client-config --user ${name}\n` }
}

async function stop(appliance: Appliance, signal: string, machine: Machine, log: Logger): Promise<void> {
  const drained = appliance.listener.drain(stopBudgets.drainMs)
  log.info({ signal, requestsUnderWay: appliance.listener.requestsUnderWay }, 'Stopping: requests under way may finish; a second signal stops at once')
  const { cut } = await drained
  if (cut > 0) log.warn({ cut, seconds: stopBudgets.drainMs / 1000 }, 'Cut the requests that were still under way at the end of the time for stopping')
  const overdue = setTimeout(() => {
    log.error({ seconds: stopBudgets.closeMs / 1000 }, 'The cache did not close in time: ending without it')
    machine.exit(1)
  }, stopBudgets.closeMs)
  await appliance[Symbol.asyncDispose]()
  clearTimeout(overdue)
  log.info({}, 'Stopped')
}
