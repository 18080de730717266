/** `burrow install-service`: installs Burrow as a systemd service. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { formatPlan, formatStep, runPlan } from '../plan/plan.ts'
import { urlOf } from '../server/listener.ts'
import { clientConfigHint, type InstallPlan, planInstall } from '../systemd/install.ts'
import { findObstacle, findProgram } from '../systemd/unit-text.ts'
import { formatClientSetup } from '../terminal/client-setup.ts'

/** sd_booted(3) */
export const bootMark = '/run/systemd/system'

interface InstallOptions {
  readonly user?: string
  readonly listen: string
  readonly socket?: boolean
  readonly dryRun?: boolean
  readonly root?: string
  readonly program?: string
  readonly force?: boolean
  readonly check: boolean
}

export function installServiceCommand(machine: Machine, mark = bootMark): Command {
  return new Command('install-service')
    .description('install Burrow as a systemd service: unit, config, key and first user; keeps existing files')
    .option('--user <name>', 'name of the first user, created with the config (default: "burrow")')
    .option('--listen <address>', 'address to listen on', '127.0.0.1:8080')
    .option('--socket', 'use socket activation: systemd listens, so no connection is refused while Burrow restarts')
    .option('--dry-run', 'show the plan and change nothing')
    .option('--root <dir>', 'install under this directory, to build a package; systemd is not reloaded')
    .option('--program <file>', 'burrow command for the service to start (default: the running program)')
    .option('--force', 'replace units with these names that Burrow did not write')
    .option('--no-check', 'do not check an existing config first, if it needs variables that only the service has')
    .addHelpText(
      'after',
      `
Run it as root. Run it again after an upgrade, and after adding a file to /etc/burrow/credentials: the service sees each of these files as
$CREDENTIALS_DIRECTORY/NAME. The service runs as a dynamic user.

  burrow install-service --dry-run
  burrow install-service --user ana --socket`,
    )
    .action((options: InstallOptions) => install(machine, options, mark))
}

async function install(machine: Machine, options: InstallOptions, mark: string): Promise<void> {
  const { dryRun: isDry = false, root, program: named } = options
  requireRoot(machine, options, 'install-service')
  const tell = (line: string) => void machine.stderr.write(`${line}\n`)
  const program = named === undefined ? await findProgram() : { command: [resolve(machine.workingDir, named)] }
  const obstacle = root === undefined || named === undefined ? await findObstacle(program) : undefined
  if (obstacle !== undefined) {
    const message = `The service could not start this program: ${obstacle}; install Burrow elsewhere, for example in /opt/burrow, and run it from there`
    if (!isDry && root === undefined) throw new Complaint('refused', message)
    tell(message)
  }
  const plan = await planInstall({
    root: root === undefined ? '/' : resolve(machine.workingDir, root),
    program,
    listen: options.listen,
    userName: options.user,
    hostName: machine.hostName,
    wantsSocket: options.socket === true,
    isForced: options.force === true,
    isChecked: options.check,
    isBooted: root === undefined && existsSync(mark),
    env: machine.env,
  })
  if (isDry) return void machine.stderr.write(`${formatPlan(plan.steps)}\nNothing was changed (--dry-run).\n`)
  await runPlan(plan.steps, (step) => void machine.stderr.write(formatStep(step)))
  printClientSetup(machine, plan)
}

function printClientSetup(machine: Machine, { first, listen }: InstallPlan): void {
  if (first === undefined) {
    machine.stderr.write(`\nTo show the settings for clients: ${clientConfigHint}\n`)
    return
  }
  machine.stderr.write(
    '\nTo get a public address: burrow tunnel setup --hostname cache.example.org\nSettings for clients on this machine:\n\n',
  )
  machine.stdout.write(
    formatClientSetup({
      url: urlOf(listen),
      storeDir: '/nix/store',
      publicKeys: [first.publicKey],
      login: first.login,
    }),
  )
}

/** @throws {Complaint} refused */
export function requireRoot(
  { userId }: Machine,
  { dryRun, root }: { readonly dryRun?: boolean; readonly root?: string },
  command: string,
): void {
  if (userId === 0 || dryRun === true || root !== undefined) return
  throw new Complaint(
    'refused',
    `Cannot change the services of this machine: this needs root; run "sudo burrow ${command}", or show the plan with --dry-run`,
  )
}
