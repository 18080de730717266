/**
 * The commands for the machine that pushes: part of `burrow`, and all that the client in one file has. They need no
 * config.
 */
import type { Command } from 'commander'

import { pinCommand, unpinCommand } from './commands/pin.ts'
import { postBuildHookCommand } from './commands/post-build-hook.ts'
import { pushCommand } from './commands/push.ts'
import { relayCommand } from './commands/relay.ts'
import { useCommand } from './commands/use.ts'
import { watchStoreCommand } from './commands/watch-store.ts'
import type { Machine } from './machine.ts'

export const nearEndCommands: readonly ((machine: Machine) => Command)[] = [
  useCommand,
  relayCommand,
  pushCommand,
  watchStoreCommand,
  postBuildHookCommand,
  pinCommand,
  unpinCommand,
]
