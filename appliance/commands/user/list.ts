/** `burrow user list`: all users, with what is known of their requests. */
import { Command } from 'commander'

import type { Machine } from '../../machine.ts'
import { askTeam } from '../../operator/team-client.ts'
import { formatBytes, formatCount, formatRelative, formatTable, printable } from '../../terminal/format.ts'
import type { ToldTeam, ToldUser } from './told-user.ts'

interface ListFlags {
  readonly config?: string
  readonly json?: boolean
}

export function listCommand(machine: Machine): Command {
  return new Command('list')
    .description('list the users: access, expiry, where they come from, last request')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
"source" says where a user comes from: "config", "generated" (made at the first start), "added" or "invited".
"last seen", "fetched", "pushed" and "address" are known if Burrow is running, to some seconds; they are the figures of "burrow usage", if it is enabled.

  burrow user list`,
    )
    .action((_options, command: Command) => list(machine, command.optsWithGlobals<ListFlags>()))
}

async function list(machine: Machine, { config: file, json }: ListFlags): Promise<void> {
  const { value, isRunning } = await askTeam<ToldTeam>(machine, file, { name: 'list' })
  const { users, invitations, impediment } = value
  if (json === true) return void machine.stdout.write(`${JSON.stringify({ running: isRunning, impediment, users })}\n`)
  const now = Date.now()
  if (users.length > 0)
    machine.stdout.write(
      formatTable([
        ['name', 'access', 'expires', 'source', 'last seen', 'fetched', 'pushed', 'address'],
        ...users.map((user) => toRow(user, now)),
      ]),
    )
  else if (impediment === null) machine.stdout.write('There are no users. Add one: burrow user add NAME\n')
  if (impediment !== null) machine.stdout.write(`${printable(impediment)}.\n`)
  const open = invitations.filter(({ state }) => state === 'open').length
  if (open > 0) machine.stdout.write(`${formatCount(open, 'open invitation')}: see "burrow invitations".\n`)
  if (!isRunning) machine.stdout.write('Burrow is not running, so the last requests are not known.\n')
}

function toRow({ name, access, expires, isExpired, source, activity }: ToldUser, now: number): string[] {
  return [
    printable(name, 64),
    access.map((right) => printable(right, 20)).join(','),
    expires === undefined ? 'never' : isExpired ? 'EXPIRED' : formatRelative(expires, now),
    printable(source, 20),
    activity === undefined ? '-' : formatRelative(activity.lastSeen, now),
    activity === undefined ? '-' : formatBytes(activity.sentBytes),
    activity === undefined ? '-' : formatBytes(activity.receivedBytes),
    activity?.address === undefined ? '-' : printable(activity.address, 45),
  ]
}
