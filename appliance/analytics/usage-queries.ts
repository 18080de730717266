/** Answers questions about usage from the file: in the worker thread, or for `burrow usage` while Burrow does not run. */
import type {
  DayUsage,
  MissedPath,
  PathUsage,
  SlowTransfer,
  TunnelDrop,
  UsageFigures,
  UsagePeriod,
  UsageSummary,
  UserUsage,
} from '../../src/index.ts'
import type { ActivityRow } from './activity.ts'
import type { Row, UsageDatabase } from './usage-file.ts'

const dayMs = 86_400_000
const maxDayUsers = 5
const maxUsers = 100
const maxPaths = 50
/** More than are shown: those that are here by now are removed later. */
export const maxMissed = 200
const maxSlow = 20
const maxDrops = 100

/** Days from 1970 to both ends, and the user's number; -1 for a user without figures. */
interface Range {
  readonly first: number
  readonly last: number
  readonly user: number | undefined
}

const sums = `coalesce(sum(requests), 0) as requests, coalesce(sum(bytes), 0) as bytes, coalesce(sum(downloads), 0) as downloads,
  coalesce(sum(cut), 0) as cut, coalesce(sum(compression_saved), 0) as compressionSaved, coalesce(sum(delta_saved), 0) as deltaSaved,
  coalesce(sum(upstream_bytes), 0) as upstreamBytes, coalesce(sum(pushed_paths), 0) as pushedPaths, coalesce(sum(received_bytes), 0) as receivedBytes`

/** Figures of one user alone, where ?3 is one. */
const ofUser = '(?3 is null or user = ?3)'
const inHours = `hour >= ?1 * 24 and hour < (?2 + 1) * 24 and ${ofUser}`
const inDays = `day >= ?1 and day <= ?2 and ${ofUser}`

export function summarize(database: UsageDatabase, storeDir: string, period: UsagePeriod, now: number): UsageSummary {
  const last = Math.floor(now / dayMs)
  const user = period.user === undefined ? undefined : (findUser(database, period.user) ?? -1)
  const range = { first: last - period.days + 1, last, user }
  const users = readUsers(database, range)
  return {
    from: range.first * dayMs,
    to: now,
    total: toFigures(database.get(`select ${sums} from hour where ${inHours}`, ...bind(range))!),
    days: readDays(database, range, users),
    users,
    paths: readPaths(database, range, storeDir),
    missed: readMissed(database, range),
    missedAsks: Number(database.get(`select coalesce(sum(asks), 0) as n from miss where ${inDays}`, ...bind(range))!.n),
    slowest: readSlowest(database, range, storeDir),
    drops: period.user === undefined ? readDrops(database, range) : [],
  }
}

export function ofPath(database: UsageDatabase, storePath: string, days: number, now: number): PathUsage {
  const first = Math.floor(now / dayMs) - days + 1
  const row = database.get(
    `select coalesce(sum(downloads), 0) as downloads, coalesce(sum(bytes), 0) as bytes, count(distinct user) as users, max(last_at) as lastAt
      from download where path = (select id from path where base_name = ?) and day >= ?`,
    ...[storePath.slice(storePath.lastIndexOf('/') + 1), first],
  )!
  return toPathUsage(storePath, row)
}

export function readActivity(database: UsageDatabase): ActivityRow[] {
  return database
    .all(
      `select name, last_at, coalesce(sum(requests), 0) as requests, coalesce(sum(bytes), 0) as bytes, coalesce(sum(received_bytes), 0) as received,
        (select network from network where user = user.id order by last_at desc, network limit 1) as network,
        (select max(last_at) from network where user = user.id) as networkAt
        from user left join hour on hour.user = user.id group by user.id`,
    )
    .map((row) => ({
      user: String(row.name),
      lastAt: Number(row.last_at),
      requests: Number(row.requests),
      sentBytes: Number(row.bytes),
      receivedBytes: Number(row.received),
      network: row.network === null ? undefined : String(row.network),
      networkAt: Number(row.networkAt ?? 0),
    }))
}

function readUsers(database: UsageDatabase, range: Range): UserUsage[] {
  return database
    .all(
      `select name, last_at, ${sums} from hour join user on user.id = hour.user where ${inHours}
        group by user order by bytes desc, requests desc, name limit ${maxUsers}`,
      ...bind(range),
    )
    .map((row) => ({ user: String(row.name), lastAt: Number(row.last_at), ...toFigures(row) }))
}

function readDays(database: UsageDatabase, range: Range, users: readonly UserUsage[]): DayUsage[] {
  const byDay = new Map(
    database
      .all(`select hour / 24 as day, ${sums} from hour where ${inHours} group by hour / 24`, ...bind(range))
      .map((row) => [Number(row.day), toFigures(row)]),
  )
  const top = users.slice(0, maxDayUsers).map(({ user }) => user)
  const shares = new Map<number, DayUsage['users'][number][]>()
  for (const name of top) {
    const ids = { ...range, user: findUser(database, name) ?? -1 }
    for (const row of database.all(
      `select hour / 24 as day, sum(bytes) as bytes, sum(requests) as requests from hour where ${inHours} group by hour / 24`,
      ...bind(ids),
    )) {
      const list = shares.get(Number(row.day)) ?? []
      list.push({ user: name, bytes: Number(row.bytes), requests: Number(row.requests) })
      shares.set(Number(row.day), list)
    }
  }
  return Array.from({ length: range.last - range.first + 1 }, (_, at) => {
    const day = range.first + at
    return {
      day: new Date(day * dayMs).toISOString().slice(0, 10),
      ...(byDay.get(day) ?? nothing),
      users: shares.get(day) ?? [],
    }
  })
}

function readPaths(database: UsageDatabase, range: Range, storeDir: string): PathUsage[] {
  return database
    .all(
      `select base_name, sum(downloads) as downloads, sum(bytes) as bytes, count(distinct user) as users, max(last_at) as lastAt
        from download join path on path.id = download.path where path.id <> 0 and ${inDays}
        group by path order by bytes desc, base_name limit ${maxPaths}`,
      ...bind(range),
    )
    .map((row) => toPathUsage(`${storeDir}/${row.base_name}`, row))
}

/**
 * Without those that were downloaded after they were asked for: they are here. A user alone learns only the names of
 * paths that they have downloaded themselves.
 */
function readMissed(database: UsageDatabase, range: Range): MissedPath[] {
  return database
    .all(
      `select *, (
          select base_name from path where base_name >= hash_part || '-' and base_name < hash_part || '.'
          and (?3 is null or exists (select 1 from download where path = path.id and user = ?3))) as name from (
          select hash_part, sum(asks) as asks, count(distinct user) as users, min(first_at) as firstAt, max(last_at) as lastAt
          from miss where hash_part <> '' and ${inDays} group by hash_part) as asked
        where not exists (
          select 1 from path join download on download.path = path.id
          where base_name >= hash_part || '-' and base_name < hash_part || '.' and download.last_at > asked.lastAt)
        order by users desc, asks desc, lastAt desc, hash_part limit ${maxMissed}`,
      ...bind(range),
    )
    .map((row) => ({
      hashPart: String(row.hash_part),
      name: row.name === null ? undefined : String(row.name).slice(33),
      asks: Number(row.asks),
      users: Number(row.users),
      firstAt: Number(row.firstAt),
      lastAt: Number(row.lastAt),
    }))
}

function readSlowest(database: UsageDatabase, range: Range, storeDir: string): SlowTransfer[] {
  return database
    .all(
      `select slow.at as at, user.name as name, base_name, bytes, duration_ms, is_complete
        from slow join path on path.id = slow.path join user on user.id = slow.user
        where day >= ?1 and day <= ?2 and (?3 is null or slow.user = ?3) order by 1.0 * bytes / duration_ms, slow.id limit ${maxSlow}`,
      ...bind(range),
    )
    .map((row) => ({
      at: Number(row.at),
      user: String(row.name),
      storePath: `${storeDir}/${row.base_name}`,
      bytes: Number(row.bytes),
      durationMs: Number(row.duration_ms),
      isComplete: row.is_complete === 1,
    }))
}

function readDrops(database: UsageDatabase, { first, last }: Range): TunnelDrop[] {
  return database
    .all(
      `select at, until, reason from tunnel_drop where at >= ? and at < ? order by at desc limit ${maxDrops}`,
      ...[first * dayMs, (last + 1) * dayMs],
    )
    .map(({ at, until, reason }) => ({
      from: Number(at),
      until: until === null ? undefined : Number(until),
      reason: String(reason),
    }))
}

function findUser(database: UsageDatabase, name: string): number | undefined {
  const row = database.get('select id from user where name = ?', name)
  return row === undefined ? undefined : Number(row.id)
}

const bind = ({ first, last, user }: Range) => [first, last, user ?? null] as const

const nothing: UsageFigures = {
  ...{ requests: 0, bytes: 0, downloads: 0, cut: 0, compressionSaved: 0, deltaSaved: 0, upstreamBytes: 0 },
  ...{ pushedPaths: 0, receivedBytes: 0 },
}

function toFigures(row: Row): UsageFigures {
  return Object.fromEntries(Object.keys(nothing).map((name) => [name, Number(row[name])])) as unknown as UsageFigures
}

function toPathUsage(storePath: string, { downloads, bytes, users, lastAt }: Row): PathUsage {
  return {
    storePath,
    downloads: Number(downloads),
    bytes: Number(bytes),
    users: Number(users),
    lastAt: lastAt === null ? undefined : Number(lastAt),
  }
}
