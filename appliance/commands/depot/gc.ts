/** `burrow gc`: removes paths that nothing keeps from the depot of the running Burrow, or lists them. */
import { Command, Option } from 'commander'

import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { findNamedPath } from '../../near-end/named-path.ts'
import { askDepot } from '../../operator/depot-client.ts'
import { formatBytes, formatCount, formatSpan, printable } from '../../terminal/format.ts'
import { byteSize, span } from '../option-values.ts'

interface GcFlags {
  readonly config?: string
  readonly dryRun?: boolean
  readonly olderThan?: number
  readonly toSize?: number
  readonly explain?: string
  readonly json?: boolean
}

interface GcReply {
  readonly removed: readonly {
    readonly storePath: string
    readonly bytes: number
    readonly lastUsed: number
    readonly why: string
  }[]
  readonly removedObjects: number
  readonly bytes: number
  readonly keptObjects: number
}

interface ExplainReply {
  readonly isHere: boolean
  readonly chain: readonly { readonly storePath: string; readonly why: string }[] | null
}

export function gcCommand(machine: Machine): Command {
  return new Command('gc')
    .description('remove paths that nothing keeps from the depot of the running Burrow')
    .option('--dry-run', 'show what would be removed, why, and how many bytes; remove nothing')
    .addOption(
      new Option('--older-than <time>', 'remove paths unused for this time (default: "depot.keepUnusedFor")').argParser(
        span,
      ),
    )
    .addOption(
      new Option(
        '--to-size <size>',
        'then remove the least recently used paths until the depot has at most this size',
      ).argParser(byteSize),
    )
    .addOption(
      new Option('--explain <path>', 'show what keeps a path; remove nothing').conflicts([
        'dryRun',
        'olderThan',
        'toSize',
      ]),
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
It keeps the closure of paths that are pinned, were pushed in the last day, were served in the last hour, or were used within "depot.keepUnusedFor".
--to-size never removes pinned paths and those pushed in the last day. Burrow also collects once a day, and when a push needs space.
A dry run and the following run choose the same paths, unless something was pushed or used in between.

It connects to the running Burrow at the address in the setting "operator", by default a socket in the state directory.
Changes are only accepted at a socket; a TCP address only accepts --dry-run and --explain.

Exit code 0 even if there is nothing to remove; 1 if Burrow is not running or refuses, or for --explain of a path that is not in the depot.

  burrow gc --dry-run
  burrow gc --older-than 14d --to-size 40GiB
  burrow gc --explain /nix/store/…-app-1.0`,
    )
    .action((_options, command: Command) => gc(machine, command.optsWithGlobals<GcFlags>()))
}

async function gc(machine: Machine, flags: GcFlags): Promise<void> {
  if (flags.explain !== undefined) return await explain(machine, flags.explain, flags)
  const { config, dryRun = false, olderThan, toSize, json } = flags
  const reply = await askDepot<GcReply>(machine, config, {
    method: 'POST',
    path: 'gc',
    body: {
      isDryRun: dryRun,
      ...(olderThan !== undefined && { olderThanMs: olderThan }),
      ...(toSize !== undefined && { toBytes: toSize }),
    },
  })
  machine.stdout.write(
    json === true ? `${JSON.stringify({ dryRun, ...reply })}\n` : formatGc(reply, dryRun, Date.now()),
  )
}

const reasons: Readonly<Record<string, string>> = { unused: 'unused', evicted: 'to free space, unused' }

function formatGc({ removed, removedObjects, bytes, keptObjects }: GcReply, isDryRun: boolean, now: number): string {
  const lines = removed.map(({ storePath, bytes: size, lastUsed, why }) => {
    return `${printable(storePath)}  ${formatBytes(size)}  ${printable(reasons[why] ?? why)} for ${formatSpan(now - lastUsed)}`
  })
  if (removedObjects > removed.length) lines.push(`… and ${formatCount(removedObjects - removed.length)} more`)
  const kept = `${formatCount(keptObjects, 'path')} ${isDryRun ? 'would stay' : 'kept'}`
  if (removedObjects === 0) lines.push(`Nothing to remove; ${kept}.`)
  else
    lines.push(
      `${formatCount(removedObjects, 'path')} ${isDryRun ? 'would be removed' : 'removed'}, ${formatBytes(bytes)} ${isDryRun ? 'would be ' : ''}freed; ${kept}.`,
    )
  return `${lines.join('\n')}\n`
}

async function explain(machine: Machine, arg: string, { config, json }: GcFlags): Promise<void> {
  const path = await findNamedPath(machine, arg)
  const reply = await askDepot<ExplainReply>(machine, config, {
    method: 'GET',
    path: `explain?path=${encodeURIComponent(path)}`,
  })
  if (json === true) machine.stdout.write(`${JSON.stringify({ path, ...reply })}\n`)
  else if (reply.chain !== null) machine.stdout.write(formatChain(reply.chain))
  else if (reply.isHere) machine.stdout.write(`Nothing keeps ${path}: the next collection removes it.\n`)
  if (!reply.isHere) throw new Complaint('refused', `${path} is not in the depot`)
}

const roots: Readonly<Record<string, string>> = {
  pushed: 'pushed within a day',
  promised: 'a push found it in the depot within a day',
  leased: 'served within the hour',
  used: 'used recently ("depot.keepUnusedFor")',
  reference: 'referred to by the path above',
}

function formatChain(chain: NonNullable<ExplainReply['chain']>): string {
  return chain
    .map(
      ({ storePath, why }, depth) =>
        `${'  '.repeat(depth)}${printable(storePath)}  (${printable(roots[why] ?? why)})\n`,
    )
    .join('')
}
