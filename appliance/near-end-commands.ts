/** The commands for the machine that pushes: part of `burrow`, and all that the client in one file has. They need no config and no package but commander. */
import type { Command } from 'commander'

import { pushCommand } from './commands/push.ts'
import type { Machine } from './machine.ts'

export const nearEndCommands: readonly ((machine: Machine) => Command)[] = [pushCommand]
