/** `burrow forget`: removes paths from the depot of the running Burrow, and refuses them from then on. */
import { Command, Option } from 'commander'

import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { findNamedPaths } from '../../near-end/named-path.ts'
import { askDepot } from '../../operator/depot-client.ts'
import { formatCount, printable } from '../../terminal/format.ts'
import { past } from '../option-values.ts'

interface ForgetFlags {
  readonly config?: string
  readonly pushedBy?: string
  readonly since?: number
  readonly allow?: boolean
  readonly json?: boolean
}

interface ForgetReply {
  readonly forgotten: readonly string[]
  readonly forgottenObjects: number
  readonly allowed: readonly string[]
}

/** Paths per request. */
const slicePaths = 1000

export function forgetCommand(machine: Machine): Command {
  return new Command('forget')
    .description('remove paths and everything that refers to them from the depot, and refuse this content from then on')
    .argument('[path...]', 'store paths, or links to them')
    .option('--pushed-by <user>', 'forget what this user pushed, instead of paths')
    .addOption(
      new Option(
        '--since <time>',
        'with --pushed-by: pushed since this time, as "2026-11-26T14:00Z", or "12h" for 12 hours ago',
      ).argParser(past),
    )
    .option('--allow', 'allow pushing them again; also for paths that were forgotten before')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Use it if a secret was pushed, or if a user's password was stolen. Forgotten paths are not served any more, even if they are pinned.
Clients keep the copies that they already have. The command connects to the running Burrow at the socket in the setting "operator".

Exit code 0 if paths were forgotten or allowed again, or --pushed-by found none; 1 if none of the paths is in the depot, or Burrow is not running or refuses.

  burrow forget /nix/store/…-config-with-password
  burrow forget --pushed-by ci --since 2026-11-26T14:00Z
  burrow forget --allow /nix/store/…-app-1.0`,
    )
    .action((paths: string[], _options, command: Command) =>
      forget(machine, paths, command.optsWithGlobals<ForgetFlags>()),
    )
}

async function forget(
  machine: Machine,
  args: readonly string[],
  { config, pushedBy, since, allow = false, json }: ForgetFlags,
): Promise<void> {
  if (args.length > 0 === (pushedBy !== undefined))
    throw new Complaint('usage', 'Give either store paths or --pushed-by USER')
  if ((pushedBy === undefined) !== (since === undefined))
    throw new Complaint('usage', '--pushed-by and --since must be used together: --pushed-by ci --since 12h')
  const requests: object[] = []
  if (pushedBy !== undefined) requests.push({ pushedBy, since, allow })
  const paths = await findNamedPaths(machine, args)
  for (let at = 0; at < paths.length; at += slicePaths)
    requests.push({ storePaths: paths.slice(at, at + slicePaths), allow })

  const forgotten: string[] = []
  const allowed: string[] = []
  let count = 0
  for (const body of requests) {
    const reply = await askDepot<ForgetReply>(machine, config, { method: 'POST', path: 'forget', body })
    forgotten.push(...reply.forgotten)
    allowed.push(...reply.allowed)
    count += reply.forgottenObjects
  }
  const done = new Set([...forgotten, ...allowed])
  const absent = paths.filter((path) => !done.has(path))
  if (json === true)
    machine.stdout.write(`${JSON.stringify({ forgotten, forgottenObjects: count, allowed, absent })}\n`)
  else machine.stdout.write(format(forgotten, count, allowed))
  for (const path of absent)
    machine.stderr.write(`${path} is not in the depot${allow ? ', and was not forgotten before' : ''}\n`)
  if (paths.length > 0 && done.size === 0) throw new Complaint('refused', 'Nothing was changed')
}

function format(forgotten: readonly string[], count: number, allowed: readonly string[]): string {
  const lines = forgotten.map((path) => `forgotten  ${printable(path)}`)
  if (count > forgotten.length) lines.push(`… and ${formatCount(count - forgotten.length)} more`)
  lines.push(...allowed.map((path) => `allowed    ${printable(path)}`))
  lines.push(
    `${formatCount(count, 'path')} forgotten${allowed.length === 0 ? '' : `, ${formatCount(allowed.length)} may be pushed again`}.`,
  )
  return `${lines.join('\n')}\n`
}
