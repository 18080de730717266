/** `burrow check-config`: everything that can be wrong with a config, before it is used. */
import { Command } from 'commander'

import { checkConfigWithoutEnv, loadConfig } from '../config/load-config.ts'
import type { Machine } from '../machine.ts'
import { readNamedFiles } from '../secrets.ts'

export function checkConfigCommand(machine: Machine): Command {
  return new Command('check-config')
    .description('check the config and the files it names; changes nothing')
    .option('--no-env', 'check the file alone: variables need not be set, and files it names need not exist')
    .addHelpText(
      'after',
      '\nExit code 78 when something is wrong; all of it is told at once.\n\n  burrow check-config\n  burrow --config burrow.json check-config --no-env      in a CI that has no secrets',
    )
    .action(async (_options, command: Command) => {
      const { config: file, env } = command.optsWithGlobals<{ config?: string; env: boolean }>()
      if (!env) {
        checkConfigWithoutEnv({ machine, file })
        machine.stdout.write('The config is right as far as it can be told without its environment.\n')
        return
      }
      const loaded = loadConfig({ machine, file })
      const warn = (fields: object, message: string) => void machine.stderr.write(`warning: ${message} ${JSON.stringify(fields)}\n`)
      await readNamedFiles(loaded, { debug() {}, info() {}, warn, error: warn })
      for (const warning of loaded.warnings) machine.stderr.write(`warning: ${warning}\n`)
      machine.stdout.write(loaded.config.file === undefined ? 'There is no config: the defaults hold.\n' : 'The config is right.\n')
    })
}
