/** Checks of the Nix store, its daemon, the larder's disk and the clock. */
import { readdir, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'

import { openLocalStore, silentLog } from '../../src/index.ts'
import { reasonOf, systemCodeOf } from '../complaint.ts'
import type { Config } from '../config/config.ts'
import { formatBytes, formatSpan } from '../terminal/format.ts'
import type { Ask, Clocks } from './asking.ts'
import { findDiskRoom } from './disk-room.ts'
import { type Findings, fail, ok, warn } from './finding.ts'

export async function* checkStore({ store, leases, depot }: Config): Findings {
  try {
    await readdir(store.realDir)
  } catch (error) {
    if (depot !== undefined && systemCodeOf(error) === 'ENOENT')
      return yield ok('store', `there is no Nix store at "${store.realDir}": only pushed paths are served`)
    yield fail(
      'store',
      `cannot read "${store.realDir}": ${reasonOf(error)}`,
      'install Nix, or set "store": { "realDir": … } to the directory of its store',
    )
    return
  }
  await using opened = await openLocalStore({
    ...store,
    storeDir: store.dir,
    realStoreDir: store.realDir,
    leases,
    log: silentLog,
  })
  const { isReadable, mode, problem } = opened.health()
  if (!isReadable) {
    const remedy =
      "let this user read Nix's database and its directory, or start the Nix daemon, which keeps it readable"
    yield fail('store', problem ?? `cannot read the store database "${store.database}"`, remedy)
  } else yield ok('store', `${store.dir}: the database is readable (${mode})`)
  yield* checkDaemon(store.daemonSocket)
}

async function* checkDaemon(socket: string | undefined): Findings {
  const consequence = "a garbage collection may delete paths between a client's lookup and its download"
  if (socket === undefined) return yield ok('daemon', 'the Nix daemon is not used, as configured')
  const code = await findConnectFault(socket)
  if (code === undefined) yield ok('daemon', `the Nix daemon answers at ${socket}`)
  else
    yield warn(
      'daemon',
      `cannot connect to the Nix daemon at "${socket}" (${code}): ${consequence}`,
      'start nix-daemon, or set "store": { "daemonSocket": null } to run without it',
    )
}

function findConnectFault(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const finish = (code?: string) => {
      socket.destroy()
      resolve(code)
    }
    socket.once('connect', () => finish())
    socket.once('error', (error) => finish(systemCodeOf(error) ?? 'ERROR'))
    socket.setTimeout(2000, () => finish('TIMEOUT'))
  })
}

/** `usedBytes`: as reported by the running Burrow. */
export async function* checkLarder({ larder, compression }: Config, usedBytes: number | undefined): Findings {
  if (larder === undefined || larder.maxBytes === 0 || compression.type === 'none')
    return yield ok('larder', 'disabled: compressed NARs are not kept')
  const { dir, maxBytes } = larder
  try {
    const { place, freeBytes: free } = await findDiskRoom(dir)
    const used = usedBytes ?? (place === dir ? await sumSizes(dir) : 0)
    if (free < maxBytes - used) {
      const what = `"${dir}" may grow to ${formatBytes(maxBytes)}, holds ${formatBytes(used)}, and its disk has ${formatBytes(free)} left`
      yield warn('larder', what, 'lower "larder": { "maxBytes": … }, or free some space')
    } else
      yield ok(
        'larder',
        `${dir}: ${formatBytes(used)} of ${formatBytes(maxBytes)}, ${formatBytes(free)} free on its disk`,
      )
  } catch (error) {
    yield fail(
      'larder',
      `cannot write "${dir}": ${reasonOf(error)}`,
      'let the user that runs Burrow write there, or set "larder": { "dir": … }',
    )
  }
}

async function sumSizes(dir: string): Promise<number> {
  let sum = 0
  for (const name of await readdir(dir)) sum += (await stat(join(dir, name)).catch(() => undefined))?.size ?? 0
  return sum
}

/** Burrow is newer than this, so an earlier time is wrong. */
const earliest = Date.parse('2026-01-01T00:00:00Z')
const toleratedMs = 60_000

/** Start this first and read the result last: it detects whether the clock was set in between. */
export function watchClock({ now, monotonicNow }: Clocks): { findJumpMs(): number } {
  const offset = now() - monotonicNow()
  return { findJumpMs: () => now() - monotonicNow() - offset }
}

/** `ask` sends requests to the edge, which answers `/cdn-cgi/trace` itself. */
export async function* checkClock({ now, monotonicNow }: Clocks, jumpMs: number, ask: Ask | undefined): Findings {
  const remedy = 'synchronize the clock with NTP ("timedatectl set-ntp true"): TLS and the expiry of users depend on it'
  if (now() < earliest) return yield fail('clock', `the clock shows ${new Date(now()).toISOString()}`, remedy)
  if (Math.abs(jumpMs) > 2000)
    yield warn('clock', `the clock was set by ${(jumpMs / 1000).toFixed(0)} s during this check`, remedy)
  const startMs = monotonicNow()
  const reply = await ask?.('/cdn-cgi/trace')
  const middle = now() - (monotonicNow() - startMs) / 2
  const theirs = reply?.kind === 'answer' ? Date.parse(reply.headers.date ?? '') : Number.NaN
  if (Number.isNaN(theirs))
    return yield ok('clock', `${new Date(now()).toISOString()}, not compared with another clock`)
  // The Date header has whole seconds; add half of one.
  const difference = middle - (theirs + 500)
  const apart = `${formatSpan(Math.abs(difference))} ${difference > 0 ? 'ahead of' : 'behind'} the edge's`
  if (Math.abs(difference) > toleratedMs) yield warn('clock', `the clock is ${apart}`, remedy)
  else yield ok('clock', 'agrees with the edge')
}
