/** `burrow who`: the history of a path in the depot of the running Burrow. */
import { Command } from 'commander'

import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { findNamedPath } from '../../near-end/named-path.ts'
import { askDepot } from '../../operator/depot-client.ts'
import { printable } from '../../terminal/format.ts'

interface WhoFlags {
  readonly config?: string
  readonly json?: boolean
}

interface WhoReply {
  readonly isHere: boolean
  readonly events: readonly {
    readonly at: number
    readonly user: string
    readonly address?: string
    readonly ray?: string
    readonly action: string
    readonly narHash?: string
    readonly detail?: string
  }[]
}

const timeoutMs = 60_000

export function whoCommand(machine: Machine): Command {
  return new Command('who')
    .description('show who pushed a path, and what else happened to it in the depot')
    .argument('<path>', 'a store path, or a link to one')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Shows the latest event first, at most 1,000 lines, also for paths that were removed.

Exit code 0 if the depot has events of the path; 1 if it has none, or if Burrow is not running.

  burrow who /nix/store/…-app-1.0`,
    )
    .action((path: string, _options, command: Command) => who(machine, path, command.optsWithGlobals<WhoFlags>()))
}

async function who(machine: Machine, arg: string, { config, json }: WhoFlags): Promise<void> {
  const path = await findNamedPath(machine, arg)
  const reply = await askDepot<WhoReply>(machine, config, {
    method: 'GET',
    path: `who?path=${encodeURIComponent(path)}`,
    timeoutMs,
  })
  if (json === true) machine.stdout.write(`${JSON.stringify({ path, ...reply })}\n`)
  else {
    for (const { at, user, address, ray, action, narHash, detail } of reply.events) {
      const rest = [address && `from ${address}`, ray && `ray ${ray}`, narHash, detail].filter(
        (part) => part !== undefined && part !== '',
      )
      machine.stdout.write(
        `${new Date(at).toISOString()}  ${printable(action)} by ${printable(user)}${rest.map((part) => `  ${printable(part!)}`).join('')}\n`,
      )
    }
  }
  if (reply.events.length === 0) throw new Complaint('refused', `The depot has no events of ${path}`)
  if (json !== true && !reply.isHere) machine.stdout.write('It is not in the depot any more.\n')
}
