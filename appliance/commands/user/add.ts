/** `burrow user add`: adds a user, and prints the password and the netrc entry. */
import { Command, Option } from 'commander'

import type { Access } from '../../../src/index.ts'
import type { Machine } from '../../machine.ts'
import { askTeam } from '../../operator/team-client.ts'
import { accessList, futureOrNever } from '../option-values.ts'
import { type PasswordFlags, passwordStdinOption, promptOption, readOwnPassword } from './own-password.ts'
import { type LoginFlags, showLogin } from './show-login.ts'
import type { ToldNewUser } from './told-user.ts'

interface AddFlags extends PasswordFlags, LoginFlags {
  readonly config?: string
  readonly access: readonly Access[]
  readonly expires?: Date
}

export function addCommand(machine: Machine): Command {
  return new Command('add')
    .description('add a user; prints a new password and the netrc entry')
    .argument('<name>', 'name of the user: letters, digits, ".", "_", "@", "+" and "-"')
    .addOption(
      new Option('--access <list>', 'what the user may do: "pull", "push", "admin", with commas between')
        .argParser(accessList)
        .default(['pull'], 'pull'),
    )
    .addOption(
      new Option('--expires <time>', 'when the user expires: "2099-12-31", "90d" from now, or "never"').argParser(
        futureOrNever,
      ),
    )
    .addOption(passwordStdinOption())
    .addOption(promptOption())
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
The password is shown only once, and stored as a hash. An open invitation for this name is revoked.

Exit code 0 if the user was added; 1 if the name is taken or Burrow refuses.

  burrow user add ben
  burrow user add ci --access pull,push --expires 90d
  burrow user add ana --access admin --prompt`,
    )
    .action((name: string, _options, command: Command) => add(machine, name, command.optsWithGlobals<AddFlags>()))
}

async function add(machine: Machine, name: string, flags: AddFlags): Promise<void> {
  const { config, access, expires, json } = flags
  const password = await readOwnPassword(machine, flags)
  const reply = await askTeam<ToldNewUser>(machine, config, { name: 'add', body: { name, access, expires, password } })
  showLogin(machine, reply, { isOwn: password !== undefined, json })
}
