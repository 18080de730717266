/** `burrow watch-store`: pushes every path that becomes valid in this machine's Nix store to a cache. */
import { resolve } from 'node:path'
import { Command, Option } from 'commander'

import { type LocalStore, openLocalStore, silentLog } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { locateFarEnd } from '../near-end/credentials.ts'
import { findNixStore } from '../near-end/nix-store.ts'
import { openFarEnd, toComplaint } from '../near-end/open-push.ts'
import { watchDatabase, watchSpool } from '../near-end/watch/path-source.ts'
import { pushQueued, type QueuedResult } from '../near-end/watch/push-queued.ts'
import { openQueueFile, type QueueState } from '../near-end/watch/queue-file.ts'
import { StoreWatch } from '../near-end/watch/store-watch.ts'
import { formatBytes, formatCount, printable } from '../terminal/format.ts'
import { type FarEndFlags, farEndOptions } from './far-end-options.ts'
import { duration, integer } from './option-values.ts'

export interface WatchFlags extends FarEndFlags {
  readonly spool?: string
  readonly mark?: boolean
  readonly once?: boolean
  readonly since?: number
  readonly jobs: number
  readonly patience: number
}

export function watchStoreCommand(machine: Machine): Command {
  return farEndOptions(
    new Command('watch-store').description("watch this machine's Nix store and push new paths to a cache"),
  )
    .option('--spool <dir>', 'push what the post-build hook writes to this directory, instead of watching the database')
    .addOption(
      new Option('--mark', 'print a number that marks the current state of the store, and exit').conflicts([
        'once',
        'spool',
      ]),
    )
    .addOption(new Option('--once', 'push what was added since --since (or is in the --spool directory), and exit'))
    .addOption(
      new Option('--since <id>', 'with --once: the number printed by --mark')
        .argParser(integer(0, 999_999_999))
        .conflicts('spool'),
    )
    .addOption(new Option('--jobs <n>', 'number of concurrent requests').argParser(integer(1, 64)).default(6))
    .addOption(
      new Option('--patience <time>', 'with --once: give up after this time without any progress')
        .argParser(duration)
        .default(15 * 60_000, '15m'),
    )
    .addHelpText(
      'after',
      `
It checks the store's database every second, and pushes new paths with their closure when no path was added for 2 s, or after 10 s.
It skips derivations (.drv), and paths with a valid signature of an upstream cache, because clients get these from there.

The queue is kept in a file in "burrow/watch-store" of $XDG_STATE_HOME (or in $STATE_DIRECTORY), so nothing is lost by a restart or by days without a network.
The first run starts with paths that are added from then on. Paths that were garbage-collected in the meantime are dropped with a message. It prints a line every hour.

Signals: SIGTERM and SIGINT stop "burrow watch-store" when the queue is empty, after at most 30 s; the rest is kept. A second signal stops it immediately.

Exit codes: 0 stopped by a signal; with --once: all paths are in the cache · 1 a path cannot be read · 2 usage · 4 refused · 75 the cache cannot be reached, try again ·
77 wrong login, or no permission to push · 78 a file given on the command line, or the queue, cannot be read

  burrow watch-store --to https://cache.example.org
  id=$(burrow watch-store --mark); nix build; burrow watch-store --once --since "$id"`,
    )
    .action((_options, command: Command) => watchStore(machine, command.optsWithGlobals<WatchFlags>()))
}

async function watchStore(machine: Machine, flags: WatchFlags): Promise<void> {
  if (flags.once === true && flags.spool === undefined && flags.since === undefined)
    throw new Complaint(
      'usage',
      '--once needs either --since ID, with a number printed by "burrow watch-store --mark", or --spool DIR',
    )
  if (flags.once !== true && flags.since !== undefined) throw new Complaint('usage', '--since needs --once')
  const place = findNixStore(machine.env)
  await using store = await openLocalStore({
    ...place,
    storeDir: place.dir,
    realStoreDir: place.realDir,
    leases: { narInfoSeconds: 600, maxPaths: 10_000_000 },
    log: silentLog,
  })
  if (flags.mark === true) return void machine.stdout.write(`${readable(() => store.lastId())}\n`)

  const stop = new AbortController()
  const kill = new AbortController()
  const stopListening = (['SIGINT', 'SIGTERM'] as const).map((name) =>
    machine.onSignal(name, () => (stop.signal.aborted ? kill : stop).abort()),
  )
  try {
    if (flags.once === true) await pushOnce(machine, store, flags, stop.signal)
    else await watchStoreUntilStopped(machine, store, place.database, flags, { stop: stop.signal, kill: kill.signal })
  } finally {
    for (const stopListeningTo of stopListening) stopListeningTo()
  }
}

/** Rejects with a Complaint when the cache or the queue cannot be used at all. */
export async function watchStoreUntilStopped(
  machine: Machine,
  store: LocalStore,
  database: string,
  flags: WatchFlags,
  signals: { readonly stop: AbortSignal; readonly kill: AbortSignal },
): Promise<void> {
  const spool = flags.spool === undefined ? undefined : resolve(machine.workingDir, flags.spool)
  // A missing or wrong URL is reported immediately.
  const { url } = await locateFarEnd(machine, flags)
  using queueFile = await openQueueFile(machine, { url: url.href, source: spool ?? database })
  const tell = (line: string) => void machine.stdout.write(`${line}\n`)
  const warn = (line: string) => void machine.stderr.write(`${machine.stderr.isJournal === true ? '<4>' : ''}${line}\n`)
  const source = spool === undefined ? watchDatabase(store, tell) : watchSpool(spool, store.storeDir, warn)
  const push = (paths: readonly string[], signal: AbortSignal, isFailing: (reason: string) => void) =>
    pushTo(machine, store, paths, { ...flags, patience: 60_000 }, signal, isFailing)
  await new StoreWatch({
    queueFile,
    source,
    push,
    title: spool ?? store.storeDir,
    url: url.href.replace(/\/$/, ''),
    tell,
    warn,
    ...signals,
  }).run()
}

/** Reads the login each time, so that a changed password needs no restart. */
async function pushTo(
  machine: Machine,
  store: LocalStore,
  paths: readonly string[],
  { jobs, patience, ...location }: WatchFlags,
  signal: AbortSignal,
  isFailing: (reason: string) => void,
): Promise<QueuedResult> {
  using farEnd = openFarEnd(await locateFarEnd(machine, location), {
    jobs,
    patienceMs: patience,
    onRetry: isFailing,
    signal,
  })
  return await pushQueued(paths, { store, farEnd, jobs, signal })
}

async function pushOnce(machine: Machine, store: LocalStore, flags: WatchFlags, signal: AbortSignal): Promise<void> {
  const warn = (line: string) => void machine.stderr.write(`${line}\n`)
  const state: QueueState = { queue: [], ...(flags.since !== undefined && { lastId: flags.since }) }
  const source =
    flags.spool === undefined
      ? watchDatabase(store, warn)
      : watchSpool(resolve(machine.workingDir, flags.spool), store.storeDir, warn)
  const settle = await toComplaintOf(() => source.read(state))
  if (state.queue.length === 0) return void machine.stdout.write('Nothing to push.\n')
  const result = await pushTo(machine, store, state.queue, flags, signal, (reason) =>
    warn(`No answer from the cache (${printable(reason)}): retrying`),
  ).catch((error: unknown) => {
    throw signal.aborted
      ? new Complaint('interrupted', 'Interrupted: run the same command again to continue')
      : toComplaint(error)
  })
  for (const { path, outcome, reason } of result.verdicts)
    if (reason !== undefined) warn(`${outcome === 'dropped' ? 'Dropped ' : ''}${path}: ${reason}`)
  if (result.obstacle !== undefined)
    throw await toComplaintOf(() => Promise.reject(result.obstacle)).catch((error: unknown) => error)
  await settle?.()
  machine.stdout.write(
    `${formatCount(state.queue.length, 'new path')}; pushed ${formatCount(result.pushed, 'path')} (${formatBytes(result.wireBytes)})\n`,
  )
  const causes = new Set(result.verdicts.map(({ cause }) => cause))
  if (causes.has('unreadable')) throw new Complaint('refused', 'Some paths cannot be read')
  if (causes.has('refused')) throw new Complaint('rejected', 'Some paths were refused by the cache')
}

/** Converts errors of the store and of the cache to complaints. */
async function toComplaintOf<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const complaint = toComplaint(error)
    throw complaint instanceof Complaint
      ? complaint
      : new Complaint('refused', (error as Error).message, { cause: error })
  }
}

function readable<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new Complaint('refused', (error as Error).message, { cause: error })
  }
}
