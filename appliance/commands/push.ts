/** `burrow push`: store paths with their closure to a cache, whatever the line does. */
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

import { Command, InvalidArgumentError, Option } from 'commander'

import { type PushResult, pushPaths } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { openPushEnds, type PushEnds, toComplaint } from '../near-end/open-push.ts'
import { type ProgressMode, startProgress } from '../near-end/push-progress.ts'
import { findPushedPaths } from '../near-end/pushed-paths.ts'
import { formatBytes, formatCount, printable } from '../terminal/format.ts'
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
    .description('push store paths, with everything they refer to, to a cache')
    .argument('[path...]', 'store paths, links to them (./result), or installables (nixpkgs#hello)')
    .addOption(new Option('--to <url>', 'the cache (default: $BURROW_URL, or what "burrow use" has set)'))
    .option('--netrc-file <file>', 'where the login is (default: that of Nix)')
    .option('--no-closure', 'the paths alone, without what they refer to')
    .option(
      '--stdin',
      'read store paths from standard input, one a line, as they come; acknowledge each with a JSON line',
    )
    .addOption(new Option('--jobs <n>', 'requests at once').argParser(integer(1, 64)).default(6))
    .addOption(
      new Option('--level <n>', 'zstd level; raised by itself on a slow line').argParser(integer(1, 19)).default(3),
    )
    .addOption(
      new Option('--patience <time>', 'give up after this time without any progress')
        .argParser(duration)
        .default(15 * 60_000, '15m'),
    )
    .option('--dry-run', 'show what would be pushed, and push nothing')
    .option('--json', 'one JSON object a line on standard output')
    .option('--quiet', 'print errors only')
    .option('--strict', 'a path that the cache has with other contents is a failure')
    .option('--pin <name>', 'keep what is pushed under this name, as "user/name"')
    .addOption(new Option('--keep-last <n>', 'revisions of the pin that are kept').argParser(integer(1, 1000)))
    .option('--include-upstream', 'push also what carries a signature of an upstream cache')
    .addOption(new Option('--exclude <regex>', 'leave out store paths that match').argParser(regex))
    .option('--drvs', 'push derivations (.drv) too')
    .addHelpText(
      'after',
      `
The login comes from the netrc file that Nix uses, or from $BURROW_USER and $BURROW_PASSWORD_FILE.
A push that was interrupted goes on where it was when it is run again.

Exit codes: 0 everything is there · 1 a path here cannot be read · 2 usage · 4 refused (room, policy, conflict with --strict) ·
75 the cache cannot be reached, run it again · 77 wrong login, or no right to push · 78 a file that is named cannot be read

  burrow push --to https://cache.example.org ./result
  nix build --print-out-paths .#a .#b | burrow push --stdin`,
    )
    .action((paths: string[], _options, command: Command) => push(machine, paths, command.optsWithGlobals<PushFlags>()))
}

async function push(machine: Machine, args: readonly string[], flags: PushFlags): Promise<void> {
  if (flags.stdin && args.length > 0)
    throw new Complaint('usage', 'Cannot take paths both as arguments and from --stdin')
  if (!flags.stdin && args.length === 0)
    throw new Complaint('usage', 'Name what to push: a store path, ./result, an installable, or --stdin')
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
      onRetry: (reason, waitMs) => progress.note(`${printable(reason)}: trying again in ${Math.ceil(waitMs / 1000)} s`),
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
    'Interrupted: run it again to go on where it was',
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
  else if (!flags.quiet) machine.stdout.write(`${formatSummary(result, seconds, ends.farEnd.url, flags)}\n`)
  requireSuccess(result, flags)
}

/** A line at a time, so that each is acknowledged; those that fail do not keep the next from being pushed. */
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

function countByStatus({ paths }: PushResult): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { status } of paths.values()) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

function toSummary(result: PushResult) {
  return { paths: result.paths.size, ...countByStatus(result), narBytes: result.narBytes, wireBytes: result.wireBytes }
}

function formatSummary(result: PushResult, seconds: number, url: string, { dryRun }: PushFlags): string {
  if (result.paths.size === 0) return 'Nothing to push.'
  const counts = countByStatus(result)
  const told: readonly (readonly [status: string, text: string])[] = [
    ['elsewhere', 'at an upstream cache'],
    ['present', 'there already'],
    ['would-push', 'would be pushed'],
    ['pushed', 'pushed'],
    ['conflict', 'there with other contents'],
    ['refused', 'refused'],
  ]
  const parts = told.flatMap(([status, text]) =>
    counts[status] === undefined ? [] : [`${formatCount(counts[status])} ${text}`],
  )
  const rate = seconds > 0 ? `, ${formatBytes(Math.round(result.wireBytes / seconds))}/s` : ''
  const sent =
    dryRun || result.wireBytes === 0
      ? ''
      : `; ${formatBytes(result.narBytes)} as ${formatBytes(result.wireBytes)} in ${seconds.toFixed(1)} s${rate}`
  return `${formatCount(result.paths.size, 'path')} to ${url}: ${parts.join(', ')}${sent}`
}

function requireSuccess(result: PushResult, { strict }: PushFlags): void {
  const { refused = 0, conflict = 0 } = countByStatus(result)
  if (refused > 0) throw new Complaint('rejected', `${formatCount(refused, 'path')} refused by the cache`)
  if (strict && conflict > 0)
    throw new Complaint('rejected', `${formatCount(conflict, 'path')} there with other contents (--strict)`)
}

function regex(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}
