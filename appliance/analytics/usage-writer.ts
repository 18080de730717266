/**
 * Adds batches to the file, within limits: what a client can choose (paths, absent hash parts) gets a row of its own only
 * up to a number for each day and user. The rest is added to the row for others.
 */
import type { Batch, UserSum } from './batch.ts'
import type { UsageDatabase } from './usage-file.ts'

export interface WriterLimits {
  /** Different users, ever; more are counted together. */
  readonly users: number
  readonly downloadsPerDay: number
  readonly downloadsPerUserDay: number
  readonly missesPerDay: number
  readonly missesPerUserDay: number
  readonly slowPerUserDay: number
  readonly networksPerUser: number
  readonly dropsPerDay: number
}

export const defaultWriterLimits: WriterLimits = {
  users: 2000,
  downloadsPerDay: 50_000,
  downloadsPerUserDay: 20_000,
  missesPerDay: 20_000,
  missesPerUserDay: 5_000,
  slowPerUserDay: 10,
  networksPerUser: 20,
  dropsPerDay: 500,
}

const dayMs = 86_400_000
const hourMs = 3_600_000

export class UsageWriter {
  readonly #database: UsageDatabase
  readonly #limits: WriterLimits
  /** Rows of the current day, in all and by user. */
  #counts = new Map<string, number>()
  #countedDay = -1

  constructor(database: UsageDatabase, limits: WriterLimits = defaultWriterLimits) {
    this.#database = database
    this.#limits = limits
  }

  add(batch: Batch): void {
    const { at, users, slow, drops } = batch
    const day = Math.floor(at / dayMs)
    try {
      this.#database.transaction(() => {
        this.#count(day)
        for (const sum of users) this.#addUser(sum, at, day)
        for (const { user, baseName, ...entry } of slow) {
          const path = this.#pathId(baseName)
          this.#database.run(
            'insert into slow (day, user, path, at, bytes, duration_ms, is_complete) values (?, ?, ?, ?, ?, ?, ?)',
            ...[day, this.#userId(user, at), path, entry.at, entry.bytes, entry.durationMs, Number(entry.isComplete)],
          )
        }
        for (const user of new Set(slow.map((entry) => entry.user))) this.#trimSlow(day, this.#userId(user, at))
        for (const drop of drops) this.#addDrop(drop.from, drop.until, drop.reason)
      })
    } catch (error) {
      // What was counted was undone.
      this.#countedDay = -1
      throw error
    }
  }

  #addUser(sum: UserSum, at: number, day: number): void {
    const user = this.#userId(sum.user, at)
    this.#database.run(
      `insert into hour values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set
        requests = requests + excluded.requests, bytes = bytes + excluded.bytes, downloads = downloads + excluded.downloads, cut = cut + excluded.cut,
        compression_saved = compression_saved + excluded.compression_saved, delta_saved = delta_saved + excluded.delta_saved,
        upstream_bytes = upstream_bytes + excluded.upstream_bytes, pushed_paths = pushed_paths + excluded.pushed_paths,
        received_bytes = received_bytes + excluded.received_bytes`,
      ...[Math.floor(at / hourMs), user, sum.requests, sum.bytes, sum.downloads, sum.cut, sum.compressionSaved],
      ...[sum.deltaSaved, sum.upstreamBytes, sum.pushedPaths, sum.receivedBytes],
    )
    for (const [baseName, { downloads, bytes }] of sum.paths)
      this.#addDownload(day, user, baseName, downloads, bytes, at)
    for (const [hashPart, asks] of sum.missed) this.#addMiss(day, user, hashPart, asks, at)
    for (const network of sum.networks) this.#addNetwork(user, network, at)
  }

  #addDownload(day: number, user: number, baseName: string, downloads: number, bytes: number, at: number): void {
    const add = (path: number) =>
      this.#database.run(
        'update download set downloads = downloads + ?, bytes = bytes + ?, last_at = ? where day = ? and path = ? and user = ?',
        ...[downloads, bytes, at, day, path, user],
      ) > 0
    const known = this.#findPath(baseName)
    if (known !== undefined && add(known)) return
    const { downloadsPerDay, downloadsPerUserDay } = this.#limits
    const isNamed = baseName !== '' && this.#admit('download', user, downloadsPerDay, downloadsPerUserDay)
    const path = isNamed ? this.#pathId(baseName) : 0
    if (!isNamed && add(path)) return
    this.#database.run('insert into download values (?, ?, ?, ?, ?, ?)', day, path, user, downloads, bytes, at)
  }

  #addMiss(day: number, user: number, hashPart: string, asks: number, at: number): void {
    const add = (name: string) =>
      this.#database.run(
        'update miss set asks = asks + ?, last_at = ? where day = ? and hash_part = ? and user = ?',
        ...[asks, at, day, name, user],
      ) > 0
    if (add(hashPart)) return
    const { missesPerDay, missesPerUserDay } = this.#limits
    const name = hashPart !== '' && this.#admit('miss', user, missesPerDay, missesPerUserDay) ? hashPart : ''
    if (name === '' && add(name)) return
    this.#database.run('insert into miss values (?, ?, ?, ?, ?, ?)', day, name, user, asks, at, at)
  }

  #addNetwork(user: number, network: string, at: number): void {
    this.#database.run(
      'insert into network values (?, ?, ?) on conflict do update set last_at = excluded.last_at',
      ...[user, network, at],
    )
    this.#database.run(
      `delete from network where user = ?1 and network not in
        (select network from network where user = ?1 order by last_at desc, network limit ?2)`,
      ...[user, this.#limits.networksPerUser],
    )
  }

  /** Keeps the slowest of a user's day. */
  #trimSlow(day: number, user: number): void {
    this.#database.run(
      `delete from slow where day = ?1 and user = ?2 and id not in
        (select id from slow where day = ?1 and user = ?2 order by 1.0 * bytes / duration_ms, id limit ?3)`,
      ...[day, user, this.#limits.slowPerUserDay],
    )
  }

  #addDrop(from: number, until: number | undefined, reason: string): void {
    const dayStart = from - (from % dayMs)
    const { n } = this.#database.get('select count(*) as n from tunnel_drop where at >= ? and at < ?', dayStart, from)!
    if (Number(n) >= this.#limits.dropsPerDay) return
    this.#database.run(
      `insert into tunnel_drop values (?, ?, ?) on conflict do update set until = coalesce(excluded.until, until), reason = excluded.reason`,
      ...[from, until ?? null, reason],
    )
  }

  #userId(name: string, at: number): number {
    const row = this.#database.get('update user set last_at = max(last_at, ?) where name = ? returning id', at, name)
    if (row !== undefined) return Number(row.id)
    const { n } = this.#database.get('select count(*) as n from user')!
    const kept = Number(n) >= this.#limits.users && name !== '' ? '' : name
    if (kept !== name) return this.#userId(kept, at)
    return Number(this.#database.get('insert into user (name, last_at) values (?, ?) returning id', name, at)!.id)
  }

  #findPath(baseName: string): number | undefined {
    const row = this.#database.get('select id from path where base_name = ?', baseName)
    return row === undefined ? undefined : Number(row.id)
  }

  #pathId(baseName: string): number {
    return (
      this.#findPath(baseName) ??
      Number(this.#database.get('insert into path (base_name) values (?) returning id', baseName)!.id)
    )
  }

  /** True if one more row of this kind is within the limits; counts it. */
  #admit(kind: 'download' | 'miss', user: number, perDay: number, perUser: number): boolean {
    const all = this.#counts.get(kind) ?? 0
    const own = this.#counts.get(`${kind} ${user}`) ?? 0
    if (all >= perDay || own >= perUser) return false
    this.#counts.set(kind, all + 1)
    this.#counts.set(`${kind} ${user}`, own + 1)
    return true
  }

  #count(day: number): void {
    if (this.#countedDay === day) return
    this.#counts = new Map()
    for (const kind of ['download', 'miss'] as const) {
      let all = 0
      for (const { user, n } of this.#database.all(
        `select user, count(*) as n from ${kind} where day = ? group by user`,
        day,
      )) {
        this.#counts.set(`${kind} ${user}`, Number(n))
        all += Number(n)
      }
      this.#counts.set(kind, all)
    }
    this.#countedDay = day
  }
}
