/** `burrow publish`: questions about the setting "publish". */
import { Command } from 'commander'

import type { Machine } from '../../machine.ts'
import { explainCommand } from './explain.ts'

export function publishCommand(machine: Machine): Command {
  return new Command('publish')
    .description('show which paths of the Nix store are served, and why')
    .addHelpText(
      'after',
      `
The setting "publish" of the config says which paths of this machine's store are served. "burrow status" shows how many there are.`,
    )
    .addCommand(explainCommand(machine))
}
