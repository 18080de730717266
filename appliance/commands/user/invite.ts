/** `burrow invite`, `burrow invitations`, `burrow uninvite`: links with which new users make their accounts themselves. */
import { Command, Option } from 'commander'

import type { Access } from '../../../src/index.ts'
import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { askTeam } from '../../operator/team-client.ts'
import { parseCacheUrl } from '../../terminal/client-setup.ts'
import { formatRelative, formatTable, printable } from '../../terminal/format.ts'
import { accessList, futureOrNever, span } from '../option-values.ts'
import type { ToldInvitation, ToldTeam } from './told-user.ts'

interface InviteFlags {
  readonly config?: string
  readonly access: readonly Access[]
  readonly expires?: Date
  readonly valid?: number
  readonly url?: string
  readonly json?: boolean
}

interface ToldIssued {
  readonly invitation: ToldInvitation
  readonly token: string
  readonly url?: string
}

export function inviteCommand(machine: Machine): Command {
  return new Command('invite')
    .description('make a link with which a new user gets an account and sets up a machine')
    .argument('<name>', 'name of the new user: letters, digits, ".", "_", "@", "+" and "-"')
    .addOption(
      new Option('--access <list>', 'what the user may do: "pull", "push", "admin", with commas between')
        .argParser(accessList)
        .default(['pull'], 'pull'),
    )
    .addOption(
      new Option('--expires <time>', 'when the user will expire: "2099-12-31", "90d" from now, or "never"').argParser(
        futureOrNever,
      ),
    )
    .addOption(new Option('--valid <time>', 'for how long the link works (default: 48h)').argParser(span))
    .option('--url <url>', 'URL of the cache for the link (default: its public URL)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Opened in a browser, the link shows what it will do, makes the account, and shows the password and the set-up once. "burrow use LINK" does the same in a terminal.
It works once. Anyone who has the link can use it, so send it as you would send a password. It is stored as a hash, and does not appear in Burrow's log.

Exit code 0 if the link was made; 1 if the name is taken or Burrow refuses.

  burrow invite ben
  burrow invite ci --access pull,push --expires 365d --valid 2h`,
    )
    .action((name: string, _options, command: Command) => invite(machine, name, command.optsWithGlobals<InviteFlags>()))
}

async function invite(machine: Machine, name: string, flags: InviteFlags): Promise<void> {
  const { config, access, expires: userExpires, valid: validMs, json } = flags
  const given = flags.url === undefined ? undefined : parseCacheUrl(flags.url)
  if (flags.url !== undefined && given === undefined)
    throw new Complaint(
      'usage',
      'Cannot use --url: it must begin with http:// or https:// and must not contain a user name, password or query',
    )
  const body = { name, access, userExpires, validMs }
  const { value } = await askTeam<ToldIssued>(machine, config, { name: 'invite', body })
  const url = given ?? value.url ?? 'https://CACHE.EXAMPLE.ORG'
  const link = `${url}/join/${value.token}`
  if (json === true) return void machine.stdout.write(`${JSON.stringify({ ...value.invitation, link })}\n`)
  machine.stdout.write(`${link}\n`)
  machine.stderr.write(
    `It works once, and expires ${formatRelative(value.invitation.expires, Date.now())}. To revoke it: burrow uninvite ${name}\n`,
  )
  if (given === undefined && !url.startsWith('https:'))
    machine.stderr.write('The public URL is not known, so this link works on this machine only; name it with --url.\n')
}

export function invitationsCommand(machine: Machine): Command {
  return new Command('invitations')
    .description('list invitations: open ones, and those that were used or have expired in the last 30 days')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nThe links themselves are not stored.\n\n  burrow invitations')
    .action((_options, command: Command) =>
      list(machine, command.optsWithGlobals<Pick<InviteFlags, 'config' | 'json'>>()),
    )
}

async function list(machine: Machine, { config, json }: Pick<InviteFlags, 'config' | 'json'>): Promise<void> {
  const { value } = await askTeam<ToldTeam>(machine, config, { name: 'list' })
  const { invitations } = value
  if (json === true) return void machine.stdout.write(`${JSON.stringify({ invitations })}\n`)
  if (invitations.length === 0)
    return void machine.stdout.write('There are no invitations. Make one: burrow invite NAME\n')
  const now = Date.now()
  machine.stdout.write(
    formatTable([
      ['name', 'access', 'state', 'expires', 'invited by', 'used'],
      ...invitations.map(({ name, access, state, expires, createdBy, used }) => [
        printable(name, 64),
        access.map((right) => printable(right, 20)).join(','),
        printable(state, 20),
        // A link that was used has no time left.
        state === 'used' ? '-' : formatRelative(expires, now),
        printable(createdBy, 64),
        used === undefined ? '-' : formatRelative(used, now),
      ]),
    ]),
  )
}

export function uninviteCommand(machine: Machine): Command {
  return new Command('uninvite')
    .description('revoke an open invitation; its link stops working at once')
    .argument('<name>', 'name in the invitation, as shown by "burrow invitations"')
    .addHelpText('after', '\nExit code 1 if there is no open invitation for this name.\n\n  burrow uninvite ben')
    .action(async (name: string, _options, command: Command) => {
      const { config } = command.optsWithGlobals<InviteFlags>()
      const { value } = await askTeam<ToldTeam>(machine, config, { name: 'list' })
      const open = value.invitations.find((one) => one.name === name && one.state === 'open')
      if (open === undefined)
        throw new Complaint('refused', `There is no open invitation for "${printable(name)}"; see "burrow invitations"`)
      await askTeam(machine, config, { name: 'revoke', body: { id: open.id } })
      machine.stdout.write(`Revoked the invitation for ${name}.\n`)
    })
}
