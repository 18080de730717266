/** `burrow uninstall-service`: undoes `burrow install-service`. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { take } from '../systemd/steps.ts'
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
    .description('stop and remove the systemd service; keeps config, keys, passwords and state')
    .option('--purge', 'remove those too: clients must then trust another key')
    .option('--yes', 'with --purge: do not ask')
    .option('--dry-run', 'show what would be done, and do nothing')
    .option('--root <dir>', 'look below this directory; systemd is not reloaded')
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
      if (purge && !dryRun && options.yes !== true && steps.length > 0) {
        await take(steps, true, (line) => void machine.stderr.write(`${line}\n`))
        const question =
          'Do this? Signing keys, passwords and the note of what "burrow tunnel setup" made at Cloudflare cannot be had back.'
        if (!(await confirm(machine, question))) throw new Complaint('refused', 'Nothing was changed')
      }
      await take(steps, dryRun, (line) => void machine.stderr.write(`${line}\n`))
      if (steps.length === 0) machine.stderr.write('There is nothing of the service here.\n')
    })
}
