/** What is written to the database: each call belongs into a transaction. Whatever a look-up can see moves the generation. */

import { hashPartOf } from '../../../nix/store-path.ts'
import type { PathRecord, Pusher } from '../types.ts'
import { type AssemblyRecord, Queries } from './queries.ts'
import type { WritingDatabase } from './writing-database.ts'

export interface NarFile {
  readonly narHash: string
  readonly narSize: number
  readonly compression: string
  readonly fileHash: string
  readonly fileSize: number
  readonly flatHash: string | undefined
}

export interface NewObject extends PathRecord {
  readonly isContentChecked: boolean
  readonly via: string
}

export class Records extends Queries {
  readonly #db: WritingDatabase

  constructor(db: WritingDatabase) {
    super(db)
    this.#db = db
  }

  transaction<T>(run: () => T): Promise<T> {
    return this.#db.transaction(run)
  }

  #touchGeneration(): void {
    this.#db.run("update state set value = value + 1 where key = 'generation'")
  }

  /** Returns whether this file is now the one kept for the NAR: not when a good one was here already. */
  addNar(file: NarFile, at: number): boolean {
    const known = this.findNar(file.narHash)
    if (known !== undefined && !known.isDamaged) return known.fileHash === file.fileHash
    this.#db.run(
      `insert into nar (nar_hash, nar_size, compression, file_hash, file_size, flat_sha256, verified_at) values (?, ?, ?, ?, ?, ?, ?)
       on conflict (nar_hash) do update set compression = excluded.compression, file_hash = excluded.file_hash, file_size = excluded.file_size,
         flat_sha256 = excluded.flat_sha256, verified_at = excluded.verified_at, damaged_at = null`,
      file.narHash,
      file.narSize,
      file.compression,
      file.fileHash,
      file.fileSize,
      file.flatHash ?? null,
      at,
    )
    this.#touchGeneration()
    return true
  }

  addLoose(file: NarFile, user: string, at: number): void {
    this.#db.run(
      `insert into loose (file_hash, nar_hash, compression, file_size, user, at) values (?, ?, ?, ?, ?, ?)
       on conflict (file_hash) do update set nar_hash = excluded.nar_hash, at = excluded.at`,
      file.fileHash,
      file.narHash,
      file.compression,
      file.fileSize,
      user,
      at,
    )
  }

  /** Its objects are out of service until the NAR is pushed again. */
  markDamaged(narHash: string, at: number): boolean {
    const isNews = this.#db.run('update nar set damaged_at = ? where nar_hash = ? and damaged_at is null', at, narHash) > 0
    if (isNews) this.#touchGeneration()
    return isNews
  }

  addObject(object: NewObject, who: Pusher, at: number): void {
    const hashPart = hashPartOf(object.storePath)
    this.#db.run(
      `insert into object (hash_part, store_path, nar_hash, deriver, ca, ca_checked, signatures, pushed_at, pushed_by, via, last_used)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      hashPart,
      object.storePath,
      object.narHash,
      object.deriver ?? null,
      object.contentAddress ?? null,
      object.isContentChecked ? 1 : 0,
      object.signatures.join(' '),
      at,
      who.user,
      object.via,
      at,
    )
    for (const reference of object.references) this.#db.run('insert or ignore into ref (hash_part, ref_path) values (?, ?)', hashPart, reference)
    this.#touchGeneration()
  }

  setSignatures(storePath: string, signatures: readonly string[]): void {
    this.#db.run('update object set signatures = ? where hash_part = ?', signatures.join(' '), hashPartOf(storePath))
    this.#touchGeneration()
  }

  /** To the hour: a later time is written only when the old one is an hour old. */
  noteUse(hashPart: string, at: number): void {
    this.#db.run('update object set last_used = ?2 where hash_part = ?1 and last_used < ?2 - 3600000', hashPart, at)
  }

  addElsewhere(path: PathRecord, keyName: string, at: number): void {
    this.#db.run(
      `insert into elsewhere (store_path, nar_hash, nar_size, key_name, seen_at) values (?, ?, ?, ?, ?) on conflict (store_path) do update set seen_at = excluded.seen_at`,
      path.storePath,
      path.narHash,
      path.narSize,
      keyName,
      at,
    )
  }

  addUsage(user: string, day: number, bytes: number): void {
    this.#db.run('insert into usage (user, day, bytes) values (?, ?, ?) on conflict (user, day) do update set bytes = bytes + excluded.bytes', user, day, bytes)
  }

  addEvent(
    action: string,
    who: Pick<Pusher, 'user' | 'address' | 'ray'>,
    at: number,
    about: { storePath?: string; narHash?: string; detail?: string } = {},
  ): void {
    this.#db.run(
      'insert into event (at, user, address, ray, action, store_path, nar_hash, detail) values (?, ?, ?, ?, ?, ?, ?, ?)',
      at,
      who.user,
      who.address ?? null,
      who.ray ?? null,
      action,
      about.storePath ?? null,
      about.narHash ?? null,
      about.detail ?? null,
    )
  }

  /** False when other content is there. */
  addDocument(kind: string, key: string, text: string, user: string, at: number): 'stored' | 'known' | 'conflict' {
    const known = this.findDocument(kind, key)
    if (known !== undefined) return known === text ? 'known' : 'conflict'
    this.#db.run('insert into document (kind, key, text, user, at) values (?, ?, ?, ?, ?)', kind, key, text, user, at)
    this.#touchGeneration()
    return 'stored'
  }

  addLog(drvBaseName: string, sha256: string, fileSize: number, user: string, at: number): void {
    this.#db.run('insert into log (drv, sha256, file_size, user, at) values (?, ?, ?, ?, ?)', drvBaseName, sha256, fileSize, user, at)
  }

  removeLog(drvBaseName: string): void {
    this.#db.run('delete from log where drv = ?', drvBaseName)
  }

  allLogs(): { readonly drv: string; readonly fileSize: number }[] {
    return this.#db.all('select drv, file_size from log').map((row) => ({ drv: String(row.drv), fileSize: Number(row.file_size) }))
  }

  allNars(): { readonly narHash: string; readonly fileHash: string; readonly compression: string; readonly fileSize: number; readonly isDamaged: boolean }[] {
    return this.#db.all('select nar_hash, file_hash, compression, file_size, damaged_at from nar').map((row) => ({
      narHash: String(row.nar_hash),
      fileHash: String(row.file_hash),
      compression: String(row.compression),
      fileSize: Number(row.file_size),
      isDamaged: row.damaged_at !== null,
    }))
  }

  pathsOfNar(narHash: string): string[] {
    return this.#db.all('select store_path from object where nar_hash = ?', narHash).map((row) => String(row.store_path))
  }

  /** Returns the assembly, made if it was not there. */
  openAssembly(user: string, narHash: string, narSize: number, partBytes: number, at: number): AssemblyRecord {
    this.#db.run(
      `insert into assembly (user, nar_hash, nar_size, part_bytes, flushed_parts, flushed_bytes, touched) values (?, ?, ?, ?, 0, 0, ?)
       on conflict (user, nar_hash, nar_size, part_bytes) do update set touched = excluded.touched`,
      user,
      narHash,
      narSize,
      partBytes,
      at,
    )
    return this.findAssembly(user, narHash, narSize, partBytes)!
  }

  findAssemblyById(id: number): AssemblyRecord | undefined {
    const row = this.#db.get('select user, nar_hash, nar_size, part_bytes from assembly where id = ?', id)
    return row && this.findAssembly(String(row.user), String(row.nar_hash), Number(row.nar_size), Number(row.part_bytes))
  }

  allAssemblies(): number[] {
    return this.#db.all('select id from assembly order by touched').map((row) => Number(row.id))
  }

  addPart(assembly: number, index: number, fileSize: number, digest: string): void {
    this.#db.run('insert or replace into part (assembly, idx, file_size, digest) values (?, ?, ?, ?)', assembly, index, fileSize, digest)
  }

  removePart(assembly: number, index: number): void {
    this.#db.run('delete from part where assembly = ? and idx = ?', assembly, index)
  }

  /** The parts before `flushedParts` are in the growing file now, up to this byte. */
  setFlushed(assembly: number, flushedParts: number, flushedBytes: number): void {
    this.#db.run('update assembly set flushed_parts = ?2, flushed_bytes = ?3 where id = ?1', assembly, flushedParts, flushedBytes)
    this.#db.run('delete from part where assembly = ? and idx < ?', assembly, flushedParts)
  }

  removeAssembly(id: number): void {
    this.#db.run('delete from assembly where id = ?', id)
  }

  /** Loose claims nobody came back for. */
  removeLooseBefore(at: number): number {
    return this.#db.run('delete from loose where at < ?', at)
  }

  assembliesBefore(at: number): number[] {
    return this.#db.all('select id from assembly where touched < ?', at).map((row) => Number(row.id))
  }

  /** NARs that neither an object nor a claim needs: removes their rows, at most so many, and returns what their files were. */
  takeUnneededNars(limit: number): { readonly narHash: string; readonly fileHash: string; readonly compression: string; readonly fileSize: number }[] {
    const rows = this.#db.all(
      `select nar_hash, file_hash, compression, file_size from nar n where not exists (select 1 from object o where o.nar_hash = n.nar_hash)
       and not exists (select 1 from loose l where l.nar_hash = n.nar_hash) limit ?`,
      limit,
    )
    for (const row of rows) this.#db.run('delete from nar where nar_hash = ?', row.nar_hash as string)
    return rows.map((row) => ({
      narHash: String(row.nar_hash),
      fileHash: String(row.file_hash),
      compression: String(row.compression),
      fileSize: Number(row.file_size),
    }))
  }

  writePin(name: string, keepLast: number, expiresAt: number | undefined): void {
    this.#db.run(
      'insert into pin (name, keep_last, expires_at) values (?, ?, ?) on conflict (name) do update set keep_last = excluded.keep_last, expires_at = excluded.expires_at',
      name,
      keepLast,
      expiresAt ?? null,
    )
  }

  addRevision(name: string, storePaths: readonly string[], user: string, at: number): void {
    this.#db.run('insert into pin_revision (name, at, user) values (?, ?, ?)', name, at, user)
    const id = this.#db.insertedId()
    for (const storePath of storePaths) this.#db.run('insert or ignore into pin_path (revision, store_path) values (?, ?)', id, storePath)
  }

  dropRevisions(name: string, keepLast: number): void {
    this.#db.run(
      'delete from pin_revision where name = ?1 and id not in (select id from pin_revision where name = ?1 order by id desc limit ?2)',
      name,
      keepLast,
    )
  }

  removePin(name: string): boolean {
    return this.#db.run('delete from pin where name = ?', name) > 0
  }

  removeExpiredPins(at: number): number {
    return this.#db.run('delete from pin where expires_at is not null and expires_at <= ?', at)
  }

  /** Inside the transaction: nothing may refer to it any more. */
  removeObject(hashPart: string): void {
    this.#db.run('delete from object where hash_part = ?', hashPart)
    this.#touchGeneration()
  }

  forget(storePath: string, narHash: string, by: string, at: number): void {
    this.#db.run('insert or replace into forgotten (store_path, nar_hash, at, by) values (?, ?, ?, ?)', storePath, narHash, at, by)
    this.#db.run('delete from pin_path where store_path = ?', storePath)
    this.#db.run('delete from loose where nar_hash = ?', narHash)
  }

  allow(storePath: string): number {
    return this.#db.run('delete from forgotten where store_path = ?', storePath)
  }

  /** By an object other than itself. */
  isReferredTo(storePath: string): boolean {
    return this.#db.get('select 1 as one from ref where ref_path = ? and hash_part <> ?', storePath, hashPartOf(storePath)) !== undefined
  }

  isPinned(storePath: string, at: number): boolean {
    const row = this.#db.get(
      `select 1 as one from pin_path pp join pin_revision r on r.id = pp.revision join pin p on p.name = r.name
       where pp.store_path = ? and (p.expires_at is null or p.expires_at > ?)`,
      storePath,
      at,
    )
    return row !== undefined
  }

  /** Paths that this user pushed since then. */
  pushedBy(user: string, since: number): string[] {
    return this.#db.all('select store_path from object where pushed_by = ? and pushed_at >= ?', user, since).map((row) => String(row.store_path))
  }

  /** Every object with what decides whether it is kept. */
  *graphNodes(): Generator<{ hashPart: string; storePath: string; narHash: string; fileSize: number; pushedAt: number; lastUsed: number }> {
    for (const row of this.#db.all(
      'select o.hash_part, o.store_path, o.nar_hash, n.file_size, o.pushed_at, o.last_used from object o join nar n on n.nar_hash = o.nar_hash',
    )) {
      yield {
        hashPart: String(row.hash_part),
        storePath: String(row.store_path),
        narHash: String(row.nar_hash),
        fileSize: Number(row.file_size),
        pushedAt: Number(row.pushed_at),
        lastUsed: Number(row.last_used),
      }
    }
  }

  *graphEdges(): Generator<readonly [hashPart: string, reference: string]> {
    for (const row of this.#db.all('select hash_part, ref_path from ref')) yield [String(row.hash_part), String(row.ref_path)]
  }

  pinnedPaths(at: number): { readonly name: string; readonly storePath: string }[] {
    return this.#db
      .all(
        `select p.name, pp.store_path from pin p join pin_revision r on r.name = p.name join pin_path pp on pp.revision = r.id
         where p.expires_at is null or p.expires_at > ?`,
        at,
      )
      .map((row) => ({ name: String(row.name), storePath: String(row.store_path) }))
  }
}
