/** `burrow post-build-hook`: the script that records what Nix has built, for watch-store to push. */
import { resolve } from 'node:path'
import { Command } from 'commander'

import type { Machine } from '../machine.ts'
import { defaultSpool, formatHook, planHook } from '../near-end/post-build-hook.ts'
import { formatStep, runPlan } from '../plan/plan.ts'

interface HookFlags {
  readonly install?: string
  readonly spool?: string
}

export function postBuildHookCommand(machine: Machine): Command {
  return new Command('post-build-hook')
    .description('print or install a script that records what Nix has built, for "burrow watch-store --spool" to push')
    .option('--install <file>', 'write the script to this file, and create the spool directory')
    .option(
      '--spool <dir>',
      'spool directory, with one file per build (default: /var/spool/burrow for root, else "burrow/spool" in $XDG_STATE_HOME)',
    )
    .addHelpText(
      'after',
      `
The script needs only a POSIX shell, takes milliseconds, and never fails a build: if it cannot write to the spool directory, it prints an error and exits with 0.
Nix runs it if nix.conf contains "post-build-hook = FILE"; with a nix-daemon, it runs as root. "burrow use URL --push" sets up all of this.

Exit codes: 0 done · 1 there is another file at this place, or it cannot be written · 2 usage

  burrow post-build-hook --install /etc/nix/burrow-post-build-hook
  burrow watch-store --to https://cache.example.org --spool /var/spool/burrow`,
    )
    .action((_options, command: Command) => postBuildHook(machine, command.optsWithGlobals<HookFlags>()))
}

async function postBuildHook(machine: Machine, { install, spool: named }: HookFlags): Promise<void> {
  const spool = named === undefined ? defaultSpool(machine) : resolve(machine.workingDir, named)
  if (install === undefined) return void machine.stdout.write(formatHook(spool))
  const file = resolve(machine.workingDir, install)
  await runPlan(await planHook(file, spool), (step) => void machine.stdout.write(formatStep(step)))
  machine.stdout.write(`Add this line to nix.conf and restart the nix-daemon: post-build-hook = ${file}\n`)
}
