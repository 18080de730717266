/** `burrow user remove`, `password`, `access` and `expire`. */
import { Argument, Command } from 'commander'

import type { Access } from '../../../src/index.ts'
import type { Machine } from '../../machine.ts'
import { askTeam } from '../../operator/team-client.ts'
import { formatRelative } from '../../terminal/format.ts'
import { accessList, futureOrNever } from '../option-values.ts'
import { type PasswordFlags, passwordStdinOption, promptOption, readOwnPassword } from './own-password.ts'
import { type LoginFlags, showLogin } from './show-login.ts'
import type { ToldNewUser, ToldUser } from './told-user.ts'

interface Flags {
  readonly config?: string
}

const nameHelp = 'name of the user, as shown by "burrow user list"'

export function removeCommand(machine: Machine): Command {
  return new Command('remove')
    .description('remove users; they are refused from the next request on')
    .argument('<name...>', nameHelp)
    .addHelpText(
      'after',
      `
What they pushed stays; "burrow forget --pushed-by NAME" removes it. Running downloads are finished.

  burrow user remove ben`,
    )
    .action(async (names: string[], _options, command: Command) => {
      const { config } = command.optsWithGlobals<Flags>()
      for (const name of names) {
        await askTeam<ToldUser>(machine, config, { name: 'remove', body: { name } })
        machine.stdout.write(`Removed user ${name}.\n`)
      }
    })
}

export function passwordCommand(machine: Machine): Command {
  return new Command('password')
    .description('give a user a new password; the old one is refused from the next request on')
    .argument('<name>', nameHelp)
    .addOption(passwordStdinOption())
    .addOption(promptOption())
    .option('--json', 'print JSON')
    .addHelpText('after', '\n  burrow user password ben')
    .action(async (name: string, _options, command: Command) => {
      const flags = command.optsWithGlobals<Flags & PasswordFlags & LoginFlags>()
      const password = await readOwnPassword(machine, flags)
      const reply = await askTeam<ToldNewUser>(machine, flags.config, { name: 'password', body: { name, password } })
      showLogin(machine, reply, { isOwn: password !== undefined, json: flags.json })
    })
}

export function accessCommand(machine: Machine): Command {
  return new Command('access')
    .description('change what a user may do')
    .argument('<name>', nameHelp)
    .addArgument(
      new Argument('<list>', 'all of it: "pull", "push", "admin", with commas between').argParser(accessList),
    )
    .addHelpText('after', '\n  burrow user access ben pull,push')
    .action(async (name: string, access: readonly Access[], _options, command: Command) => {
      const { config } = command.optsWithGlobals<Flags>()
      const { value } = await askTeam<ToldUser>(machine, config, { name: 'access', body: { name, access } })
      machine.stdout.write(`User ${name} may ${value.access.join(' and ')}.\n`)
    })
}

export function expireCommand(machine: Machine): Command {
  return new Command('expire')
    .description('change when a user expires')
    .argument('<name>', nameHelp)
    .addArgument(new Argument('<time>', '"2099-12-31", "90d" from now, or "never"').argParser(futureOrNever))
    .addHelpText('after', '\n  burrow user expire ben 30d\n  burrow user expire ben never')
    .action(async (name: string, expires: Date | undefined, _options, command: Command) => {
      const { config } = command.optsWithGlobals<Flags>()
      const { value } = await askTeam<ToldUser>(machine, config, { name: 'expire', body: { name, expires } })
      const when =
        value.expires === undefined ? 'does not expire' : `expires ${formatRelative(value.expires, Date.now())}`
      machine.stdout.write(`User ${name} ${when}${value.expires === undefined ? '' : ` (${value.expires})`}.\n`)
    })
}
