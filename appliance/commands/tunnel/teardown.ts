/** `burrow tunnel teardown`: removes what `burrow tunnel setup` created in a Cloudflare account. */
import { Command } from 'commander'

import { tokenHelp } from '../../cloudflare/api-token.ts'
import { planTunnelOff } from '../../cloudflare/config-change.ts'
import {
  apiUrlOption,
  loadConfigFile,
  openSession,
  type SessionOptions,
  tokenFileOption,
} from '../../cloudflare/session.ts'
import { findSetupRecord, removeSetupRecord, writeSetupRecord } from '../../cloudflare/setup-record.ts'
import type { Progress } from '../../cloudflare/setup-step.ts'
import { toTeardownSteps } from '../../cloudflare/teardown-steps.ts'
import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { formatByHand, formatPlan, nameOf, requireNoRefusal, runPlan } from '../../plan/plan.ts'
import { confirm } from '../../terminal/prompts.ts'

interface TeardownOptions extends SessionOptions {
  readonly force?: boolean
  readonly yes?: boolean
  readonly dryRun?: boolean
}

export function tunnelTeardownCommand(machine: Machine): Command {
  return new Command('teardown')
    .description('remove what "burrow tunnel setup" created in the Cloudflare account')
    .option('--force', 'delete the tunnel even if connectors are connected')
    .option('--yes', 'do not ask for confirmation')
    .option('--dry-run', 'show the plan and change nothing')
    .addOption(tokenFileOption())
    .addOption(apiUrlOption())
    .addHelpText(
      'after',
      `
It removes what "cloudflare.json" in the state directory lists, unless it was changed since. Other host names, records and rules are kept.
Stop Burrow first: a tunnel with connections is only deleted with --force.

${tokenHelp}

  burrow tunnel teardown --dry-run`,
    )
    .action((_options, command: Command) => teardown(machine, command.optsWithGlobals<TeardownOptions>()))
}

async function teardown(machine: Machine, options: TeardownOptions): Promise<void> {
  const config = loadConfigFile(machine, options.config)
  const stateDir = config.state.dir
  const made = await findSetupRecord(stateDir)
  if (made === undefined)
    return void machine.stdout.write(`"${stateDir}" has no record of a setup; nothing was changed.\n`)
  const api = await openSession(machine, options)
  const progress: Progress = {
    tunnelId: made.tunnel?.id,
    record: structuredClone(made),
    save: () => writeSetupRecord(stateDir, progress.record),
  }
  const steps = await toTeardownSteps({
    api,
    progress,
    made,
    config: await planTunnelOff(config, made.hostname),
    isForced: options.force === true,
  })

  machine.stdout.write(
    `https://${made.hostname} in the zone ${made.zone.name}, account ${made.account.name} (${made.account.id}):\n\n${formatPlan(steps)}`,
  )
  requireNoRefusal(steps, 'remove this')
  if (options.dryRun === true) return void machine.stdout.write('\nNothing was changed (--dry-run).\n')
  if (options.yes !== true && !(await confirm(machine, 'Continue?')))
    throw new Complaint('refused', 'Nothing was changed')

  await runPlan(steps, (step) => {
    if (step.run !== undefined) machine.stderr.write(`${nameOf(step)}\n`)
  })
  await removeSetupRecord(stateDir)
  machine.stdout.write(`\nhttps://${made.hostname} no longer leads here.\n${formatByHand(steps)}`)
}
