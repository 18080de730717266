/** `burrow relay`: the cache as a substituter on loopback, over a line that may break. */

import { Command, InvalidArgumentError, Option } from 'commander'

import { openRelay, type RelayStatus, relayStatusPath } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import { formatListenAddress, type ListenAddress, parseListenAddress } from '../config/listen-address.ts'
import type { Machine } from '../machine.ts'
import { findNixStore } from '../near-end/nix-store.ts'
import { whenIdle, whenLeft } from '../near-end/relay/idle.ts'
import { createLineLog } from '../near-end/relay/line-log.ts'
import { openLocalPaths } from '../near-end/relay/local-paths.ts'
import { manageMemory } from '../near-end/relay/memory.ts'
import { allowUsers } from '../near-end/relay/peer-user.ts'
import { openLogin } from '../near-end/relay/relay-login.ts'
import { takeRelayStateDir } from '../near-end/relay/relay-state-dir.ts'
import { formatRelayStatus } from '../near-end/relay/relay-status-text.ts'
import { openRelayUploads } from '../near-end/relay/relay-uploads.ts'
import { readTotals, writeTotals } from '../near-end/relay/totals-file.ts'
import { findDecompressors } from '../server/decompressors.ts'
import { openListener, urlOf } from '../server/listener.ts'
import { findInheritedSocket } from '../systemd/socket-activation.ts'
import { readVersion } from '../version.ts'
import { type FarEndFlags, farEndOptions } from './far-end-options.ts'
import { duration, integer } from './option-values.ts'
import { watchStoreUntilStopped } from './watch-store.ts'

const defaultListen = '127.0.0.1:8078'
/** For running downloads, after a stop signal. */
const drainMs = 30_000
const statusTimeoutMs = 5_000
/** After the last request. */
const keepTotalsMs = 10_000

interface RelayFlags extends FarEndFlags {
  readonly listen: ListenAddress
  readonly patience: number
  readonly jobs: number
  readonly deltas: boolean
  readonly allowUid?: readonly number[]
  readonly watch?: boolean
  /** Milliseconds. */
  readonly exitIdle?: number
  readonly verbose?: boolean
}

interface StatusFlags {
  readonly listen: ListenAddress
  readonly json?: boolean
}

export function relayCommand(machine: Machine): Command {
  const command = farEndOptions(
    new Command('relay').description('make a cache available to Nix on this machine, over an unreliable connection'),
  )
    .addOption(listenOption('loopback address for Nix'))
    .addOption(
      new Option('--patience <time>', 'give up a transfer after this time without any progress')
        .argParser(duration)
        .default(10 * 60_000, '10m'),
    )
    .addOption(new Option('--jobs <n>', 'requests of a push at once').argParser(integer(1, 64)).default(6))
    .option('--no-deltas', 'always fetch whole NARs, not the difference to local paths')
    .addOption(
      new Option('--allow-uid <uid...>', 'user ids that may connect (default: every user of this machine)').argParser(
        (text: string, before: readonly number[] | undefined) => [...(before ?? []), integer(0, 4_294_967_294)(text)],
      ),
    )
    .option('--watch', 'also push new paths of the Nix store, like "burrow watch-store"')
    .addOption(
      new Option(
        '--exit-idle <time>',
        'exit after this time without a request; for a service that its socket starts again',
      ).argParser(duration),
    )
    .option('--verbose', 'log every retry')
    .addHelpText(
      'after',
      `
Nix uses the relay as a cache at http://${defaultListen}, without a login. "burrow use --relay" configures it. The relay
reads the login of the cache from Nix's netrc file, or from $BURROW_USER and $BURROW_PASSWORD_FILE, and reads it again
every 30 s. Every user who can connect downloads with this login; use --allow-uid to limit them.

An interrupted download is resumed. While the cache cannot be reached, the relay answers that paths are absent, so that
builds continue without it. To push paths of any size: nix copy --to 'http://${defaultListen}?compression=zstd' PATH.

The relay stores NARs temporarily while they are pushed, and a list of pushed files, in "burrow/relay" of $XDG_STATE_HOME
(or in $STATE_DIRECTORY). A second relay needs a directory of its own.

Exit codes: 0 stopped by a signal · 1 cannot listen, or another relay uses its directory · 2 usage · 78 a given file
cannot be read

  burrow relay --to https://cache.example.org
  burrow relay status`,
    )
    .action((_options, command: Command) => serve(machine, command.optsWithGlobals<RelayFlags>()))
  command.addCommand(
    new Command('status')
      .description('show the status of the relay: connection, transfers, savings')
      .addOption(listenOption('address of the relay'))
      .option('--json', 'as JSON')
      .addHelpText('after', '\nExit codes: 0 the relay runs, even if the cache cannot be reached · 1 no relay answers')
      .action((_options, status: Command) =>
        showStatus(machine, { ...status.opts<StatusFlags>(), listen: listenOf(status) }),
      ),
  )
  return command
}

async function serve(machine: Machine, flags: RelayFlags): Promise<void> {
  if (flags.watch === true && flags.exitIdle !== undefined)
    throw new Complaint('usage', 'Cannot use --exit-idle with --watch: the store is watched all the time; remove one')
  const log = createLineLog(machine, flags.verbose === true)
  const place = findNixStore(machine.env)
  using login = await openLogin(machine, flags, log)
  using state = await takeRelayStateDir(machine)
  await using paths = await openLocalPaths(place, log)
  if (flags.watch === true && paths.store === undefined)
    throw new Complaint('config', `Cannot watch "${place.database}": it cannot be read; remove --watch, or install Nix`)
  const uploads = await openRelayUploads(machine, {
    login,
    storeDir: place.dir,
    stateDir: state.dir,
    jobs: flags.jobs,
    patienceMs: flags.patience,
    log,
  })
  const earlier = await readTotals(state.dir)
  using relay = openRelay({
    url: login.location.url,
    authorization: login.authorization,
    storeDir: place.dir,
    version: readVersion(),
    patienceMs: flags.patience,
    decompressors: findDecompressors(machine.env.PATH),
    isHere: paths.isHere,
    ...(flags.deltas && { findLocal: paths.find }),
    uploads,
    ...(flags.allowUid && { mayConnect: allowUsers(flags.allowUid) }),
    ...(earlier && { earlier }),
    log,
  })
  const keepTotals = () => writeTotals(state.dir, relay.status, log)
  const stop = new AbortController()
  const kill = new AbortController()
  const stopListening = (['SIGINT', 'SIGTERM'] as const).map((name) =>
    machine.onSignal(name, () => (stop.signal.aborted ? kill : stop).abort()),
  )
  try {
    const server = relay.createServer()
    manageMemory(server)
    whenIdle(server, keepTotalsMs, () => void keepTotals())
    if (flags.exitIdle !== undefined) whenLeft(server, flags.exitIdle, () => stop.abort())
    await using listener = await openListener(server, flags.listen, {
      drainMs,
      inheritedSocket: findInheritedSocket(machine.env, machine.pid),
    })
    const { url, user } = { url: relay.status.url, user: login.location.user }
    machine.stdout.write(
      `Relaying ${url}${user === undefined ? '' : ` (as ${user})`} on ${urlOf(listener.address) ?? formatListenAddress(listener.address)}\n`,
    )
    const watching =
      flags.watch === true
        ? watchStoreUntilStopped(machine, paths.store!, place.database, flags, {
            stop: stop.signal,
            kill: kill.signal,
          })
        : undefined
    await Promise.race([aborted(stop.signal), ...(watching === undefined ? [] : [watching])])
    stop.abort()
    await Promise.race([Promise.all([listener.drain(drainMs), watching]), aborted(kill.signal)])
    await keepTotals()
  } finally {
    for (const stopListeningTo of stopListening) stopListeningTo()
  }
}

/** `relay --listen ADDRESS status` means the same as `relay status --listen ADDRESS`. */
function listenOf(status: Command): ListenAddress {
  const given = [status, status.parent!].find((one) => one.getOptionValueSource('listen') === 'cli')
  return (given ?? status).getOptionValue('listen')
}

async function showStatus(machine: Machine, flags: StatusFlags): Promise<void> {
  const url = urlOf(flags.listen)!
  const status = await fetch(`${url}/${relayStatusPath}`, { signal: AbortSignal.timeout(statusTimeoutMs) })
    .then(async (reply) => (reply.ok ? ((await reply.json()) as RelayStatus) : undefined))
    .catch(() => undefined)
  if (status?.nars === undefined)
    throw new Complaint('refused', `No relay answers on ${url}: start it with "burrow relay", or name it with --listen`)
  machine.stdout.write(flags.json === true ? `${JSON.stringify(status)}\n` : formatRelayStatus(status, Date.now()))
}

function listenOption(description: string): Option {
  return new Option('--listen <address>', description)
    .argParser(loopback)
    .default(loopback(defaultListen), defaultListen)
}

function loopback(text: string): ListenAddress {
  const parsed = parseListenAddress(text)
  if ('refusal' in parsed) throw new InvalidArgumentError(`It ${parsed.refusal}.`)
  if (parsed.kind === 'unix') throw new InvalidArgumentError('Nix cannot use a cache on a unix socket.')
  return parsed
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve())
  })
}
