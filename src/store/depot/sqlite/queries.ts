/** What is asked of the database, by either connection: objects and NARs, and here figures, pins and events. */
import type { DepotHealth } from '../../health.ts'
import { dayOf, startOfDay } from '../day.ts'
import type { DepotEvent } from '../types.ts'
import { ObjectQueries } from './object-queries.ts'
import { optional } from './rows.ts'

export type { AssemblyRecord, ObjectRecord } from './rows.ts'

export class Queries extends ObjectQueries {
  /** Bytes of NARs that no object needs yet, and of parts, by this user or by all. */
  unfinishedBytes(user?: string): number {
    const loose = this.db.get(
      `select coalesce(sum(n.file_size), 0) as bytes from nar n where n.nar_hash in (select l.nar_hash from loose l where ?1 is null or l.user = ?1)
       and not exists (select 1 from object o where o.nar_hash = n.nar_hash)`,
      user ?? null,
    )
    const parts = this.db.get(
      `select coalesce(sum(a.flushed_bytes + (select coalesce(sum(p.file_size), 0) from part p where p.assembly = a.id)), 0) as bytes
       from assembly a where ?1 is null or a.user = ?1`,
      user ?? null,
    )
    return Number(loose!.bytes) + Number(parts!.bytes)
  }

  usedToday(user: string, day: number): number {
    return Number(this.db.get('select bytes from usage where user = ? and day = ?', user, day)?.bytes ?? 0)
  }

  usersOfDay(day: number): { readonly user: string; readonly bytes: number }[] {
    return this.db
      .all('select user, bytes from usage where day = ? order by bytes desc', day)
      .map((row) => ({ user: String(row.user), bytes: Number(row.bytes) }))
  }

  /** Pushes refused since then, conflicts included. */
  refusedSince(at: number): number {
    return Number(
      this.db.get("select count(*) as count from event where at >= ? and action in ('refuse', 'conflict')", at)!.count,
    )
  }

  pins(): { readonly name: string; readonly keepLast: number; readonly expiresAt: number | undefined }[] {
    return this.db.all('select * from pin order by name').map((row) => ({
      name: String(row.name),
      keepLast: Number(row.keep_last),
      expiresAt: row.expires_at === null ? undefined : Number(row.expires_at),
    }))
  }

  /** The newest first. */
  revisions(name: string): { readonly at: number; readonly user: string; readonly storePaths: readonly string[] }[] {
    return this.db.all('select id, at, user from pin_revision where name = ? order by id desc', name).map((row) => ({
      at: Number(row.at),
      user: String(row.user),
      storePaths: this.db
        .all('select store_path from pin_path where revision = ? order by store_path', row.id as number)
        .map((path) => String(path.store_path)),
    }))
  }

  /** What was pushed and what it takes up. `now`: milliseconds since 1970. */
  figures(now: number): Omit<DepotHealth, 'maxBytes' | 'freeBytes' | 'shortage' | 'recovered'> {
    const row = this.db.get(
      `select (select count(*) from object) as objects, (select count(*) from nar) as nars, (select count(*) from nar where damaged_at is not null) as damaged,
       (select count(*) from assembly) as assemblies, (select count(*) from pin) as pins`,
    )!
    return {
      objects: Number(row.objects),
      nars: Number(row.nars),
      damaged: Number(row.damaged),
      pins: Number(row.pins),
      unfinishedUploads: Number(row.assemblies),
      unfinishedBytes: this.unfinishedBytes(),
      usedBytes: this.state('bytes'),
      pushedToday: this.usersOfDay(dayOf(now)),
      refusedToday: this.refusedSince(startOfDay(now)),
    }
  }

  events(where: {
    readonly storePath?: string | undefined
    readonly since?: number | undefined
    readonly limit: number
  }): DepotEvent[] {
    return this.db
      .all(
        'select * from event where (?1 is null or store_path = ?1) and (?2 is null or at >= ?2) order by id desc limit ?3',
        where.storePath ?? null,
        where.since ?? null,
        where.limit,
      )
      .map((row) => ({
        at: Number(row.at),
        user: String(row.user),
        address: optional(row.address),
        ray: optional(row.ray),
        action: String(row.action),
        storePath: optional(row.store_path),
        narHash: optional(row.nar_hash),
        detail: optional(row.detail),
      }))
  }
}
