/** `burrow version` */
import { Command } from 'commander'

import type { Machine } from '../machine.ts'
import { readVersion } from '../version.ts'

export function versionCommand(machine: Machine): Command {
  return new Command('version').description('print the version').action(() => {
    machine.stdout.write(`burrow ${readVersion()}\n`)
  })
}
