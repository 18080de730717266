/** The depot, who may push into it and how, and the upstreams. */
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

/** The edge refuses larger bodies on the free and pro plans. */
const edgeBodyBytes = 100_000_000
/** Less is a matter of days. */
const smallRoomBytes = 2 ** 30

export interface PushContext {
  readonly config: Config
  /** `undefined`: not known, or a public cache. */
  readonly users: readonly User[] | undefined
  /** Of the running Burrow. */
  readonly report: StatusReport | undefined
  readonly now: number
}

export async function* checkPush({ config, users, report, now }: PushContext): Findings {
  const pushers = users?.filter(
    (user) => !hasExpired(user, now) && (user.access.has('push') || user.access.has('admin')),
  )
  if (config.depot === undefined) return yield ok('depot', 'none: nothing can be pushed')
  if (pushers?.length === 0 && !config.upstreams.some(({ keep }) => keep))
    yield warn(
      'depot',
      'there is a depot, and no user may push into it',
      'give a user "access": ["pull", "push"], or set "depot": false',
    )
  yield* checkDepotDisk(config, report?.stores.find((store) => store.depot)?.depot ?? undefined)
  if (pushers !== undefined && pushers.length > 0) yield* checkWays(config, pushers)
}

async function* checkDepotDisk({ depot }: Config, health: DepotReport | undefined): Findings {
  const { dir, maxBytes, keepFree } = depot!
  try {
    const { freeBytes } = await findDiskRoom(dir)
    const used = health?.usedBytes ?? 0
    const room = Math.max(0, freeBytes - keepFree)
    const figures = `holds ${formatBytes(used)}, and its disk has ${formatBytes(room)} left ("depot.keepFree" put aside)`
    const remedy = 'make room, lower "depot": { "maxBytes": … }, or set "depot": { "dir": … } to a larger disk'
    if (room < smallRoomBytes && used < maxBytes)
      yield fail('depot', `"${dir}" is nearly out of room: it ${figures}; pushes are refused`, remedy)
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

/** Through the edge, the size of one request is bounded; `burrow push` sends parts, `nix copy` does not. */
async function* checkWays({ depot, tunnel }: Config, pushers: readonly User[]): Findings {
  const who = pushers.map(({ name }) => name).join(', ')
  const { maxBodyBytes } = depot!
  if (tunnel === undefined) return yield ok('push', `may push: ${who}`)
  const hint = 'push larger paths with "burrow push --to URL PATH", which sends them in parts'
  if (maxBodyBytes === undefined || maxBodyBytes <= edgeBodyBytes)
    return yield ok(
      'push',
      `may push: ${who}; "nix copy --to" passes NARs up to ${toMegabytes(maxBodyBytes ?? edgeBodyBytes)} compressed through the edge: ${hint}`,
    )
  yield warn(
    'push',
    `"push.maxBodyBytes" is ${toMegabytes(maxBodyBytes)}, and the edge refuses bodies above 100 MB: "nix copy --to" ends with "HTTP error 413" and a page of Cloudflare's`,
    `remove the setting, which makes Burrow name the remedy itself; ${hint}`,
  )
}

/** As the edge's own limit is told. */
const toMegabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`

/** Each is asked here and now; what the running Burrow has seen of it comes second. */
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
  const consequence = 'its paths count as absent'
  const login = await findLogin(upstream)
  if (typeof login === 'string')
    return yield fail('upstream', login, 'correct "passwordFile" of this upstream, and restart Burrow')
  const reply = await createAsk(href, deadline)('/nix-cache-info', { login })
  if (reply.kind === 'failure') {
    const remedy = 'see that this machine reaches it; clients are not harmed meanwhile'
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
    const what = `${href} is no binary cache: it answers /nix-cache-info with ${reply.status} (${textOf(reply).trim().slice(0, 60)})`
    return yield fail('upstream', what, 'correct "url" of this upstream')
  }
  if (theirs !== storeDir)
    return yield fail('upstream', `${href} is a cache for ${theirs}, not for ${storeDir}`, 'remove this upstream')
  const seen = report?.stores.find(({ type, location }) => type === 'upstream' && location === href)
  if (seen?.problem)
    yield warn(
      'upstream',
      `${href} answers now; the running Burrow still leaves it alone: ${seen.problem}`,
      'wait: it is asked again within 5 minutes',
    )
  else yield ok('upstream', `${href} answers`)
}

/** A text says why the password cannot be had. */
async function findLogin({ url, user, passwordFile }: UpstreamConfig): Promise<Login | undefined | string> {
  if (user === undefined || passwordFile === undefined) return undefined
  try {
    return { name: user, password: (await readFile(passwordFile, 'utf8')).replace(/\r?\n$/, '') }
  } catch (error) {
    return `cannot read "${passwordFile}", the password for ${url.href}: ${reasonOf(error)}`
  }
}
