/** Checks of the depot, its users and upload limits, and the upstreams. */
import { readFile } from 'node:fs/promises'

import type { User } from '../../src/index.ts'
import { reasonOf } from '../complaint.ts'
import type { Config, UpstreamConfig } from '../config/config.ts'
import type { DepotReport, StatusReport } from '../operator/status.ts'
import { formatBytes, formatCount } from '../terminal/format.ts'
import { createAsk, type Deadline, findStoreDir, type Login } from './asking.ts'
import { hasExpired } from './config-checks.ts'
import { findDiskRoom } from './disk-room.ts'
import { type Findings, fail, ok, warn } from './finding.ts'
import { textOf } from './reply-text.ts'

/** Body limit of the edge on the Free and Pro plans. */
const edgeBodyBytes = 100_000_000
/** With less room, the depot is soon full. */
const smallRoomBytes = 2 ** 30

export interface PushContext {
  readonly config: Config
  /** `undefined` if not known, or for a public cache. */
  readonly users: readonly User[] | undefined
  /** From the running Burrow. */
  readonly report: StatusReport | undefined
  readonly now: number
}

export async function* checkPush({ config, users, report, now }: PushContext): Findings {
  const pushers = users?.filter(
    (user) => !hasExpired(user, now) && (user.access.has('push') || user.access.has('admin')),
  )
  if (config.depot === undefined) return yield ok('depot', 'disabled: nothing can be pushed')
  if (pushers?.length === 0 && !config.upstreams.some(({ keep }) => keep))
    yield warn(
      'depot',
      'the depot is enabled, but no user may push',
      'give a user "access": ["pull", "push"], or set "depot": false',
    )
  yield* checkDepotDisk(config, report?.stores.find((store) => store.depot)?.depot ?? undefined)
  if (pushers !== undefined && pushers.length > 0) yield* checkBodyLimit(config, pushers)
}

async function* checkDepotDisk({ depot }: Config, health: DepotReport | undefined): Findings {
  const { dir, maxBytes, keepFree } = depot!
  try {
    const { freeBytes } = await findDiskRoom(dir)
    const used = health?.usedBytes ?? 0
    const room = Math.max(0, freeBytes - keepFree)
    const figures = `holds ${formatBytes(used)}, and its disk has ${formatBytes(room)} left (without "depot.keepFree")`
    const remedy = 'free some space, lower "depot": { "maxBytes": … }, or set "depot": { "dir": … } to a larger disk'
    if (room < smallRoomBytes && used < maxBytes)
      yield fail('depot', `"${dir}" is almost full: it ${figures}; pushes are refused`, remedy)
    else if (room < maxBytes - used)
      yield warn('depot', `"${dir}" may grow to ${formatBytes(maxBytes)}, ${figures}`, remedy)
    else
      yield ok(
        'depot',
        `${dir}: ${formatBytes(used)} of ${formatBytes(maxBytes)}, ${formatBytes(freeBytes)} free on its disk`,
      )
  } catch (error) {
    yield fail(
      'depot',
      `cannot write "${dir}": ${reasonOf(error)}`,
      'let the user that runs Burrow write there, or set "depot": { "dir": … }',
    )
  }
  if (health === undefined) return
  if (health.shortage)
    yield warn(
      'depot',
      `the last push failed for lack of space: ${health.shortage}`,
      'free some space, or raise "depot": { "maxBytes": … }',
    )
  if (health.damaged + health.recovered.lostNars > 0) {
    const count = formatCount(Math.max(health.damaged, health.recovered.lostNars), 'NAR')
    yield fail(
      'depot',
      `${count} of the depot missing or damaged: these paths are out of service`,
      'push them again, or restore the depot from a backup; check the disk',
    )
  }
}

/** The edge limits the size of a request. `burrow push` splits uploads into parts, `nix copy` does not. */
async function* checkBodyLimit({ depot, tunnel }: Config, pushers: readonly User[]): Findings {
  const who = pushers.map(({ name }) => name).join(', ')
  const { maxBodyBytes } = depot!
  if (tunnel === undefined) return yield ok('push', `users who may push: ${who}`)
  const hint = 'push larger paths with "burrow push --to URL PATH", which sends them in parts'
  if (maxBodyBytes === undefined || maxBodyBytes <= edgeBodyBytes)
    return yield ok(
      'push',
      `users who may push: ${who}; through the edge, "nix copy --to" is limited to NARs of ${toMegabytes(maxBodyBytes ?? edgeBodyBytes)} (compressed): ${hint}`,
    )
  yield warn(
    'push',
    `"push.maxBodyBytes" is ${toMegabytes(maxBodyBytes)}, but the edge refuses bodies above 100 MB: "nix copy --to" fails with "HTTP error 413" and a Cloudflare error page`,
    `remove the setting, so that Burrow answers with a remedy instead; ${hint}`,
  )
}

/** Decimal megabytes, the unit of Cloudflare's limits. */
const toMegabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`

/** Sends a request to each upstream, and compares the result with the state in the running Burrow. */
export async function* checkUpstreams({
  config,
  report,
  deadline,
}: {
  config: Config
  report: StatusReport | undefined
  deadline: Deadline
}): Findings {
  for (const upstream of config.upstreams) yield* checkUpstream(upstream, config.store.dir, report, deadline)
}

async function* checkUpstream(
  upstream: UpstreamConfig,
  storeDir: string,
  report: StatusReport | undefined,
  deadline: Deadline,
): Findings {
  const { href } = upstream.url
  const consequence = 'its paths are treated as absent'
  const login = await findLogin(upstream)
  if (typeof login === 'string')
    return yield fail('upstream', login, 'correct "passwordFile" of this upstream, and restart Burrow')
  const reply = await createAsk(href, deadline)('/nix-cache-info', { login })
  if (reply.kind === 'failure') {
    const remedy = 'check the connection to it; clients are not affected meanwhile'
    return yield warn('upstream', `${href} does not answer (${reply.code}: ${reply.message}): ${consequence}`, remedy)
  }
  if (reply.status === 401 || reply.status === 403)
    return yield fail(
      'upstream',
      `${href} refuses this cache (${reply.status}): ${consequence}`,
      'correct "user" and "passwordFile" of this upstream',
    )
  const theirs = reply.status === 200 ? findStoreDir(reply) : undefined
  if (theirs === undefined) {
    const what = `${href} is not a binary cache: it answers /nix-cache-info with ${reply.status} (${textOf(reply).trim().slice(0, 60)})`
    return yield fail('upstream', what, 'correct "url" of this upstream')
  }
  if (theirs !== storeDir)
    return yield fail('upstream', `${href} is a cache for ${theirs}, not for ${storeDir}`, 'remove this upstream')
  const seen = report?.stores.find(({ type, location }) => type === 'upstream' && location === href)
  if (seen?.problem)
    yield warn(
      'upstream',
      `${href} answers now, but the running Burrow does not use it yet: ${seen.problem}`,
      'wait: Burrow retries within 5 minutes',
    )
  else yield ok('upstream', `${href} answers`)
}

/** Returns a string if the password file cannot be read: the reason. */
async function findLogin({ url, user, passwordFile }: UpstreamConfig): Promise<Login | undefined | string> {
  if (user === undefined || passwordFile === undefined) return undefined
  try {
    return { name: user, password: (await readFile(passwordFile, 'utf8')).replace(/\r?\n$/, '') }
  } catch (error) {
    return `cannot read "${passwordFile}", the password for ${url.href}: ${reasonOf(error)}`
  }
}
