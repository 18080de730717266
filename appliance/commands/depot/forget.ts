/** `burrow forget`: paths are taken out of the depot of the running Burrow, and not accepted again. */
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

/** What one request takes. */
const slicePaths = 1000

export function forgetCommand(machine: Machine): Command {
  return new Command('forget')
    .description(
      'take paths out of the depot, with all that refer to them, and do not take them again with this content',
    )
    .argument('[path...]', 'store paths, or links to them')
    .option('--pushed-by <user>', 'what this user pushed, instead of paths')
    .addOption(
      new Option('--since <time>', 'with --pushed-by: from this time on, "2026-11-26T14:00Z" or "12h" ago').argParser(
        past,
      ),
    )
    .option('--allow', 'let them be pushed again; works also for paths that were forgotten before')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `
For a secret that was pushed, or a user whose password got into the wrong hands. What is forgotten is gone for clients with the next request, and pins do not keep it.
What clients have copied already, they keep. The running Burrow does it, asked at the socket in the setting "operator".

Exit code 0 when something was forgotten or allowed again, or --pushed-by found nothing; 1 when none of the paths is here, or Burrow is not running or refuses.

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
    throw new Complaint('usage', 'Name either store paths or --pushed-by USER')
  if ((pushedBy === undefined) !== (since === undefined))
    throw new Complaint('usage', '--pushed-by and --since go together: --pushed-by ci --since 12h')
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
