/** `burrow install-service`: Burrow as a service of systemd. */
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
    .description('install Burrow as a systemd service: unit, config, key and first user; keeps what is there')
    .option('--user <name>', 'name of the first user, made with the config (default: "burrow")')
    .option('--listen <address>', 'where to listen', '127.0.0.1:8080')
    .option('--socket', 'let systemd listen, so that no connection is refused while Burrow restarts')
    .option('--dry-run', 'show what would be done, and do nothing')
    .option('--root <dir>', 'install below this directory, for building packages; systemd is not reloaded')
    .option('--program <file>', 'the burrow command that the service starts (default: the program that runs now)')
    .option('--force', "replace units of that name that are not Burrow's own")
    .option('--no-check', 'do not check a config that is there first: it names variables that only the service has')
    .addHelpText(
      'after',
      `
Run it as root, again after an upgrade, and again when a file was added to /etc/burrow/credentials: each of them reaches the service as
$CREDENTIALS_DIRECTORY/NAME. The service runs as a user that exists only while it runs.

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
    const message = `The service could not start this program: ${obstacle}; put it elsewhere, such as /opt/burrow, and run it from there`
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
    machine.stderr.write(`\nWhat clients need: ${clientConfigHint}\n`)
    return
  }
  machine.stderr.write(
    '\nA public address: burrow tunnel setup --hostname cache.example.org. What clients need, here on this machine:\n\n',
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
    `Cannot change the services of this machine: only root may; run "sudo burrow ${command}", or look first with --dry-run`,
  )
}
