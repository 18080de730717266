/**
 * All that is written to the database: objects, uploads, and here what ends them: pins, collection, forgetting. Each
 * call belongs into a transaction.
 */
import { hashPartOf } from '../../../nix/store-path.ts'
import { AssemblyRecords } from './assembly-records.ts'

export type { NarFile, NewObject } from './object-records.ts'

export class Records extends AssemblyRecords {
  /** What `removeLooseBefore` and the end of uploads untouched since then would free. */
  expirableBytes(before: number): number {
    const row = this.writing.get(
      `select (select coalesce(sum(n.file_size), 0) from nar n where not exists (select 1 from object o where o.nar_hash = n.nar_hash)
         and not exists (select 1 from loose l where l.nar_hash = n.nar_hash and l.at >= ?1))
       + (select coalesce(sum(a.flushed_bytes + (select coalesce(sum(p.file_size), 0) from part p where p.assembly = a.id)), 0)
         from assembly a where a.touched < ?1) as bytes`,
      before,
    )
    return Number(row!.bytes)
  }

  /** Loose claims that were not followed by a path in time. */
  removeLooseBefore(at: number): number {
    return this.writing.run('delete from loose where at < ?', at)
  }

  /** Removes the row of this NAR when neither an object nor a claim needs it, and returns what its file was. */
  takeNarIfUnneeded(
    narHash: string,
  ): { readonly narHash: string; readonly fileHash: string; readonly compression: string } | undefined {
    const nar = this.findNar(narHash)
    const isNeeded =
      this.writing.get(
        'select 1 as one from object where nar_hash = ?1 union all select 1 from loose where nar_hash = ?1',
        narHash,
      ) !== undefined
    if (nar === undefined || isNeeded) return undefined
    this.writing.run('delete from nar where nar_hash = ?', narHash)
    return nar
  }

  /**
   * NARs that neither an object nor a claim needs: removes their rows, at most so many, and returns what their files
   * were.
   */
  takeUnneededNars(limit: number): {
    readonly narHash: string
    readonly fileHash: string
    readonly compression: string
    readonly fileSize: number
  }[] {
    const rows = this.writing.all(
      `select nar_hash, file_hash, compression, file_size from nar n where not exists (select 1 from object o where o.nar_hash = n.nar_hash)
       and not exists (select 1 from loose l where l.nar_hash = n.nar_hash) limit ?`,
      limit,
    )
    for (const row of rows) this.writing.run('delete from nar where nar_hash = ?', row.nar_hash as string)
    return rows.map((row) => ({
      narHash: String(row.nar_hash),
      fileHash: String(row.file_hash),
      compression: String(row.compression),
      fileSize: Number(row.file_size),
    }))
  }

  writePin(name: string, keepLast: number, expiresAt: number | undefined): void {
    this.writing.run(
      'insert into pin (name, keep_last, expires_at) values (?, ?, ?) on conflict (name) do update set keep_last = excluded.keep_last, expires_at = excluded.expires_at',
      name,
      keepLast,
      expiresAt ?? null,
    )
  }

  addRevision(name: string, storePaths: readonly string[], user: string, at: number): void {
    this.writing.run('insert into pin_revision (name, at, user) values (?, ?, ?)', name, at, user)
    const id = this.writing.insertedId()
    for (const storePath of storePaths)
      this.writing.run('insert or ignore into pin_path (revision, store_path) values (?, ?)', id, storePath)
  }

  dropRevisions(name: string, keepLast: number): void {
    this.writing.run(
      'delete from pin_revision where name = ?1 and id not in (select id from pin_revision where name = ?1 order by id desc limit ?2)',
      name,
      keepLast,
    )
  }

  removePin(name: string): boolean {
    return this.writing.run('delete from pin where name = ?', name) > 0
  }

  removeExpiredPins(at: number): number {
    return this.writing.run('delete from pin where expires_at is not null and expires_at <= ?', at)
  }

  /** Inside the transaction: nothing may refer to it any more. */
  removeObject(hashPart: string): void {
    this.writing.run('delete from object where hash_part = ?', hashPart)
    this.touchGeneration()
  }

  forget(storePath: string, narHash: string, by: string, at: number): void {
    this.writing.run(
      'insert or replace into forgotten (store_path, nar_hash, at, by) values (?, ?, ?, ?)',
      storePath,
      narHash,
      at,
      by,
    )
    this.writing.run('delete from pin_path where store_path = ?', storePath)
    this.writing.run('delete from loose where nar_hash = ?', narHash)
  }

  allow(storePath: string): number {
    return this.writing.run('delete from forgotten where store_path = ?', storePath)
  }

  /** By an object other than itself. */
  isReferredTo(storePath: string): boolean {
    return (
      this.writing.get(
        'select 1 as one from ref where ref_path = ? and hash_part <> ?',
        storePath,
        hashPartOf(storePath),
      ) !== undefined
    )
  }

  isPinned(storePath: string, at: number): boolean {
    const row = this.writing.get(
      `select 1 as one from pin_path pp join pin_revision r on r.id = pp.revision join pin p on p.name = r.name
       where pp.store_path = ? and (p.expires_at is null or p.expires_at > ?)`,
      storePath,
      at,
    )
    return row !== undefined
  }

  /** Paths that this user pushed since then. */
  pushedBy(user: string, since: number): string[] {
    return this.writing
      .all('select store_path from object where pushed_by = ? and pushed_at >= ?', user, since)
      .map((row) => String(row.store_path))
  }

  pinnedPaths(at: number): { readonly name: string; readonly storePath: string }[] {
    return this.writing
      .all(
        `select p.name, pp.store_path from pin p join pin_revision r on r.name = p.name join pin_path pp on pp.revision = r.id
         where p.expires_at is null or p.expires_at > ?`,
        at,
      )
      .map((row) => ({ name: String(row.name), storePath: String(row.store_path) }))
  }
}
