/** `burrow push`: pushes store paths with their closure to a cache, and retries when the connection fails. */
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

import { Command, InvalidArgumentError, Option } from 'commander'

import { type PushResult, pushPaths } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { openPushEnds, type PushEnds, retryNote, toComplaint } from '../near-end/open-push.ts'
import { type ProgressMode, startProgress } from '../near-end/push-progress.ts'
import { countByStatus, formatSummary, toSummary } from '../near-end/push-summary.ts'
import { findPushedPaths } from '../near-end/pushed-paths.ts'
import { formatCount } from '../terminal/format.ts'
import { duration, integer } from './option-values.ts'

interface PushFlags {
  readonly to?: string
  readonly netrcFile?: string
  readonly closure: boolean
  readonly stdin?: boolean
  readonly jobs: number
  readonly level: number
  readonly patience: number
  readonly dryRun?: boolean
  readonly json?: boolean
  readonly quiet?: boolean
  readonly strict?: boolean
  readonly pin?: string
  readonly keepLast?: number
  readonly includeUpstream?: boolean
  readonly exclude?: RegExp
  readonly drvs?: boolean
}

export function pushCommand(machine: Machine): Command {
  return new Command('push')
    .description('push store paths and their closure to a cache')
    .argument('[path...]', 'store paths, links to them (./result), or installables (nixpkgs#hello)')
    .addOption(new Option('--to <url>', 'URL of the cache (default: $BURROW_URL, or the one set by "burrow use")'))
    .option('--netrc-file <file>', 'netrc file with the login (default: the one that Nix uses)')
    .option('--no-closure', 'push only these paths, not their references')
    .option(
      '--stdin',
      'read store paths from standard input, one per line, and print a JSON line for each as soon as it is pushed',
    )
    .addOption(new Option('--jobs <n>', 'number of concurrent requests').argParser(integer(1, 64)).default(6))
    .addOption(
      new Option('--level <n>', 'zstd level; raised automatically on a slow connection')
        .argParser(integer(1, 19))
        .default(3),
    )
    .addOption(
      new Option('--patience <time>', 'give up after this time without any progress')
        .argParser(duration)
        .default(15 * 60_000, '15m'),
    )
    .option('--dry-run', 'show what would be pushed, and push nothing')
    .option('--json', 'print one JSON object per line to standard output')
    .option('--quiet', 'print errors only')
    .option('--strict', 'fail if the cache has a path with different contents')
    .option('--pin <name>', 'pin the pushed paths under this name, as "user/name"')
    .addOption(new Option('--keep-last <n>', 'number of revisions of the pin to keep').argParser(integer(1, 1000)))
    .option('--include-upstream', 'also push paths that are signed by an upstream cache')
    .addOption(new Option('--exclude <regex>', 'do not push store paths that match').argParser(regex))
    .option('--drvs', 'also push derivations (.drv)')
    .addHelpText(
      'after',
      `
The login comes from the netrc file that Nix uses, or from $BURROW_USER and $BURROW_PASSWORD_FILE.
An interrupted push continues where it stopped when you run it again.

Exit codes: 0 all paths are in the cache · 1 a local path cannot be read · 2 usage · 4 refused (space, policy, conflict with --strict) ·
75 the cache cannot be reached, try again · 77 wrong login, or no permission to push · 78 a file given on the command line cannot be read

  burrow push --to https://cache.example.org ./result
  nix build --print-out-paths .#a .#b | burrow push --stdin`,
    )
    .action((paths: string[], _options, command: Command) => push(machine, paths, command.optsWithGlobals<PushFlags>()))
}

async function push(machine: Machine, args: readonly string[], flags: PushFlags): Promise<void> {
  if (flags.stdin && args.length > 0) throw new Complaint('usage', 'Cannot use --stdin together with path arguments')
  if (!flags.stdin && args.length === 0)
    throw new Complaint('usage', 'Nothing to push was given; give a store path, ./result, an installable, or --stdin')
  const mode: ProgressMode = flags.json || flags.stdin ? 'json' : flags.quiet ? 'quiet' : 'lines'
  using progress = startProgress(machine, mode)
  const interruption = new AbortController()
  const stopListening = (['SIGINT', 'SIGTERM'] as const).map((name) =>
    machine.onSignal(name, () => interruption.abort(interrupted(name))),
  )
  try {
    await using ends = await openPushEnds(machine, {
      ...flags,
      patienceMs: flags.patience,
      signal: interruption.signal,
      onRetry: (reason, waitMs) => progress.note(retryNote(ends.farEnd.url, reason, waitMs)),
    })
    if (flags.stdin) await pushLines(machine, ends, flags, interruption.signal)
    else await pushOnce(machine, ends, args, flags, progress.report)
  } catch (error) {
    throw interruption.signal.aborted ? interruption.signal.reason : toComplaint(error)
  } finally {
    for (const stop of stopListening) stop()
  }
}

function interrupted(name: string): Complaint {
  return new Complaint(
    name === 'SIGINT' ? 'interrupted' : 'terminated',
    'Interrupted: run the same command again to continue',
  )
}

async function pushOnce(
  machine: Machine,
  ends: PushEnds,
  args: readonly string[],
  flags: PushFlags,
  report: Parameters<typeof pushPaths>[1]['report'],
): Promise<void> {
  const startedMs = performance.now()
  const paths = await findPushedPaths(machine, args, ends.place)
  const result = await pushPaths(paths, toOptions(ends, flags, report))
  const seconds = (performance.now() - startedMs) / 1000
  if (flags.json)
    machine.stdout.write(
      `${JSON.stringify({ event: 'summary', ...toSummary(result), seconds: Math.round(seconds * 10) / 10 })}\n`,
    )
  else if (!flags.quiet)
    machine.stdout.write(`${formatSummary(result, seconds, ends.farEnd.url, flags.dryRun === true)}\n`)
  requireSuccess(result, flags)
}

/** One line at a time, so that each is acknowledged; a failure does not stop the next ones. */
async function pushLines(machine: Machine, ends: PushEnds, flags: PushFlags, signal: AbortSignal): Promise<void> {
  let failure: unknown
  for await (const line of createInterface({ input: machine.stdin, signal })) {
    const path = line.trim()
    if (path === '') continue
    try {
      const result = await pushPaths(
        await findPushedPaths(machine, [path], ends.place),
        toOptions(ends, flags, () => {}),
      )
      requireSuccess(result, flags)
      machine.stdout.write(`${JSON.stringify({ path, status: 'ok', ...toSummary(result) })}\n`)
    } catch (error) {
      const complaint = toComplaint(error)
      if (!(complaint instanceof Complaint) || signal.aborted) throw error
      machine.stdout.write(`${JSON.stringify({ path, status: 'failed', reason: complaint.message })}\n`)
      failure ??= complaint
    }
  }
  if (failure !== undefined) throw failure
}

function toOptions(
  ends: PushEnds,
  flags: PushFlags,
  report: Parameters<typeof pushPaths>[1]['report'],
): Parameters<typeof pushPaths>[1] {
  const { exclude, drvs, pin, keepLast } = flags
  return {
    ...ends,
    jobs: flags.jobs,
    level: flags.level,
    withReferences: flags.closure,
    isExcluded: (path) => exclude?.test(path) === true || (drvs !== true && path.endsWith('.drv')),
    includeUpstream: flags.includeUpstream === true,
    isDryRun: flags.dryRun === true,
    pin: pin === undefined ? undefined : { name: pin, ...(keepLast !== undefined && { keepLast }) },
    sleep: (ms) => sleep(ms),
    report,
  }
}

function requireSuccess(result: PushResult, { strict }: PushFlags): void {
  const { refused = 0, conflict = 0 } = countByStatus(result)
  if (refused > 0) throw new Complaint('rejected', `The cache refused ${formatCount(refused, 'path')}`)
  if (strict && conflict > 0)
    throw new Complaint('rejected', `The cache has ${formatCount(conflict, 'path')} with different contents (--strict)`)
}

function regex(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}
