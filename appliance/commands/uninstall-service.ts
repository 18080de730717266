/** `burrow uninstall-service`: reverts `burrow install-service`. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { formatPlan, formatStep, runPlan } from '../plan/plan.ts'
import { planUninstall } from '../systemd/uninstall.ts'
import { confirm } from '../terminal/prompts.ts'
import { bootMark, requireRoot } from './install-service.ts'

interface UninstallOptions {
  readonly purge?: boolean
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly root?: string
}

export function uninstallServiceCommand(machine: Machine, mark = bootMark): Command {
  return new Command('uninstall-service')
    .description('stop and remove the systemd service; keep config, keys, passwords and state')
    .option('--purge', 'also remove config, keys, passwords and state; clients must then trust another key')
    .option('--yes', 'with --purge: do not ask for confirmation')
    .option('--dry-run', 'show the plan and change nothing')
    .option('--root <dir>', 'uninstall from this directory; systemd is not reloaded')
    .addHelpText('after', '\n  burrow uninstall-service --dry-run')
    .action(async (options: UninstallOptions) => {
      const { purge = false, dryRun = false, root } = options
      requireRoot(machine, options, 'uninstall-service')
      const steps = await planUninstall({
        root: root === undefined ? '/' : resolve(machine.workingDir, root),
        wantsPurge: purge,
        isBooted: root === undefined && existsSync(mark),
        env: machine.env,
      })
      if (steps.length === 0) return void machine.stderr.write('The service is not installed.\n')
      if (dryRun) return void machine.stderr.write(`${formatPlan(steps)}\nNothing was changed (--dry-run).\n`)
      if (purge && options.yes !== true) {
        machine.stderr.write(formatPlan(steps))
        const question =
          'Continue? Signing keys, passwords and the record of what "burrow tunnel setup" created at Cloudflare cannot be restored.'
        if (!(await confirm(machine, question))) throw new Complaint('refused', 'Nothing was changed')
      }
      await runPlan(steps, (step) => void machine.stderr.write(formatStep(step)))
    })
}
