/** `burrow tunnel setup`: a public host name that leads here, made in a Cloudflare account. */
import { Command } from 'commander'

import { tokenHelp } from '../../cloudflare/api-token.ts'
import { findZone, listZoneNotes } from '../../cloudflare/find-zone.ts'
import { toTunnelName } from '../../cloudflare/marks.ts'
import { listRuleNotes } from '../../cloudflare/rule-step.ts'
import {
  apiUrlOption,
  loadConfigFile,
  openSession,
  type SessionOptions,
  tokenFileOption,
} from '../../cloudflare/session.ts'
import { findSetupRecord, type SetupRecord } from '../../cloudflare/setup-record.ts'
import { type SetupStep, startProgress } from '../../cloudflare/setup-step.ts'
import { toSetupSteps } from '../../cloudflare/setup-steps.ts'
import { type Survey, survey, toService } from '../../cloudflare/survey.ts'
import { Complaint } from '../../complaint.ts'
import { isHostname } from '../../config/hostname.ts'
import type { Machine } from '../../machine.ts'
import { formatByHand, formatPlan, isChange, nameOf, requireNoRefusal, runPlan } from '../../plan/plan.ts'
import { exceptRoot, prepareStateDir } from '../../state/state-dir.ts'
import { confirm } from '../../terminal/prompts.ts'

interface SetupOptions extends SessionOptions {
  readonly hostname?: string
  readonly zone?: string
  readonly account?: string
  readonly name?: string
  readonly replaceRecord?: boolean
  readonly yes?: boolean
  readonly dryRun?: boolean
}

export function tunnelSetupCommand(machine: Machine): Command {
  return new Command('setup')
    .description('create a tunnel, its DNS record and a cache rule in a Cloudflare account, and add them to the config')
    .option(
      '--hostname <name>',
      'public host name, in a domain of the account (default: the one that was set up, or the one in the config)',
    )
    .option('--zone <name>', 'domain of the host name (default: the longest that matches)')
    .option('--account <name-or-id>', 'account, if several accounts have this domain')
    .option('--name <name>', 'name of the tunnel (default: "burrow-" followed by the host name)')
    .option('--replace-record', 'replace DNS records for the host name that Burrow did not create')
    .option('--yes', 'do not ask for confirmation')
    .option('--dry-run', 'show the plan and change nothing')
    .addOption(tokenFileOption())
    .addOption(apiUrlOption())
    .addHelpText(
      'after',
      `
It shows a plan of what it will create, adopt, change and keep, and asks for confirmation. Another run changes only what is no longer correct.
It records what it created in "cloudflare.json" in the state directory; "burrow tunnel teardown" removes only that.

${tokenHelp}

  burrow tunnel setup --hostname cache.example.org
  burrow --config /etc/burrow/burrow.json tunnel setup --hostname cache.example.org --api-token-file token.txt --dry-run`,
    )
    .action((_options, command: Command) => setup(machine, command.optsWithGlobals<SetupOptions>()))
}

async function setup(machine: Machine, options: SetupOptions): Promise<void> {
  const config = loadConfigFile(machine, options.config)
  toService(config)
  const stateDir = config.state.dir
  const made = await findSetupRecord(stateDir)
  const hostname = chooseHostname(options.hostname, made, config.tunnel?.hostname)
  const api = await openSession(machine, options)
  const zone = await findZone(api, {
    hostname,
    zone: options.zone ?? made?.zone.name,
    account: options.account ?? made?.account.id,
  })
  if (made !== undefined && made.zone.id !== zone.id)
    throw elsewhere(`the zone "${made.zone.name}" of the account ${made.account.id}`)
  const tunnelName = options.name ?? made?.tunnel?.name ?? toTunnelName(hostname)
  const found = await survey(api, { hostname, tunnelName, zone, made, config })
  const steps = toSetupSteps(found, {
    api,
    progress: startProgress(found, stateDir),
    stateDir,
    userId: machine.userId,
    mayReplaceRecord: options.replaceRecord === true,
  })

  machine.stdout.write(formatHeading(found))
  machine.stdout.write(formatPlan(steps))
  for (const note of [...listZoneNotes(zone, hostname), ...listRuleNotes(found)])
    machine.stdout.write(`\nNote: ${note}\n`)
  requireNoRefusal(steps, 'set this up')
  if (!steps.some(isChange)) return void machine.stdout.write('\nEverything is already set up; nothing was changed.\n')
  if (options.dryRun === true) return void machine.stdout.write('\nNothing was changed (--dry-run).\n')
  if (options.yes !== true && !(await confirm(machine, 'Continue?')))
    throw new Complaint('refused', 'Nothing was changed')

  await prepareStateDir(stateDir, exceptRoot(machine.userId))
  await runPlan(steps, (step) => {
    if (step.run !== undefined) machine.stderr.write(`${nameOf(step)}\n`)
  })
  machine.stdout.write(formatEnd(found, steps))
}

function chooseHostname(
  given: string | undefined,
  made: SetupRecord | undefined,
  configured: string | undefined,
): string {
  const hostname = (given ?? made?.hostname ?? configured)?.toLowerCase()
  if (hostname === undefined)
    throw new Complaint(
      'usage',
      'Cannot set up a tunnel without a host name; give one with --hostname, such as cache.example.org',
    )
  if (!isHostname(hostname) || !hostname.includes('.')) {
    throw new Complaint(
      'usage',
      `Cannot use --hostname "${hostname}": write it like "cache.example.org", without "https://", port or path`,
    )
  }
  if (made !== undefined && made.hostname !== hostname) throw elsewhere(`"${made.hostname}"`)
  return hostname
}

function elsewhere(what: string): Complaint {
  return new Complaint(
    'refused',
    `Cannot set up another host name: this Burrow is set up as ${what}; remove that first with "burrow tunnel teardown"`,
  )
}

function formatHeading({ zone, hostname }: Survey): string {
  return `For https://${hostname} in the zone ${zone.name}, account ${zone.account.name} (${zone.account.id}):\n\n`
}

function formatEnd({ hostname, isForService }: Survey, steps: readonly SetupStep[]): string {
  const service = isForService
    ? 'With systemd: run "burrow install-service" again, which passes the token to the service, and then "systemctl restart burrow".\n'
    : ''
  return `\nhttps://${hostname} leads here as soon as Burrow runs with this config: start or restart it.\n${service}${formatByHand(steps)}"burrow doctor" checks the connection; "burrow tunnel status" compares the account with the config.\n`
}
