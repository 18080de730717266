/** `burrow post-build-hook`: the script that notes what Nix has built, for watch-store to push. */
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
    .description('print, or install, a script that notes what Nix has built, for "burrow watch-store --spool" to push')
    .option('--install <file>', 'write the script there, and make the spool folder')
    .option(
      '--spool <dir>',
      'where it leaves a file for each build (default: /var/spool/burrow for root, else "burrow/spool" in $XDG_STATE_HOME)',
    )
    .addHelpText(
      'after',
      `
The script needs a POSIX shell and nothing else, takes milliseconds, and never fails a build: when the folder cannot be written, it says so and ends well.
Nix runs it when nix.conf says "post-build-hook = FILE": as root where a nix-daemon builds. "burrow use URL --push" sets all of it up.

Exit codes: 0 done · 1 something else lies there, or it cannot be written · 2 usage

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
  machine.stdout.write(`Add this line to nix.conf, and restart the nix-daemon: post-build-hook = ${file}\n`)
}
