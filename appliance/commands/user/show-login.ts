/** Prints a password, once, and where it goes. */
import type { Machine } from '../../machine.ts'
import type { TeamReply } from '../../operator/team-client.ts'
import { formatLoginSetup } from '../../terminal/client-setup.ts'
import { printable } from '../../terminal/format.ts'
import type { ToldNewUser } from './told-user.ts'

export interface LoginFlags {
  readonly json?: boolean
}

/** `isOwn`: it was given, so it is not repeated. */
export function showLogin(
  machine: Machine,
  { value: user, config }: TeamReply<ToldNewUser>,
  { isOwn, json }: { readonly isOwn: boolean; readonly json: boolean | undefined },
): void {
  const { name, password, access, expires, url } = user
  if (json === true) {
    const told = { name, access, expires, url, ...(!isOwn && { password }) }
    return void machine.stdout.write(`${JSON.stringify(told)}\n`)
  }
  const login = { name, password: isOwn ? undefined : password }
  const option = url === undefined ? '' : ` --url ${printable(url)}`
  machine.stdout.write(
    `${isOwn ? '' : '# The password is shown only now.\n'}${formatLoginSetup(url, login)}# For nix.conf: burrow client-config --user ${name}${option}\n`,
  )
  if (config.access.kind === 'generated')
    machine.stderr.write(
      'The user that Burrow made at its first start keeps its access. To use named users only, write a config with "users": [], and restart Burrow.\n',
    )
}
