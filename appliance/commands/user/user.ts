/** `burrow user`: adds, lists, changes and removes users, beside those of the config. */
import { Command } from 'commander'

import type { Machine } from '../../machine.ts'
import { addCommand } from './add.ts'
import { accessCommand, expireCommand, passwordCommand, removeCommand } from './change.ts'
import { listCommand } from './list.ts'

export function userCommand(machine: Machine): Command {
  return new Command('user')
    .description('add, list, change and remove users, without editing the config')
    .addHelpText(
      'after',
      `
Changes act at once if Burrow is running, and also work if it is not. They are kept in "users.json" in the state directory, with argon2id hashes of the passwords.
Users of the config are listed too, but are changed in the config only. To let a new user choose the machine and the time: burrow invite.`,
    )
    .addCommand(addCommand(machine))
    .addCommand(listCommand(machine))
    .addCommand(removeCommand(machine))
    .addCommand(passwordCommand(machine))
    .addCommand(accessCommand(machine))
    .addCommand(expireCommand(machine))
}
