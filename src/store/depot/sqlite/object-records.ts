/**
 * What is written to the database: each call belongs into a transaction. Whatever a look-up can see moves the
 * generation.
 */

import { hashPartOf } from '../../../nix/store-path.ts'
import type { PathRecord, Pusher } from '../types.ts'
import { Queries } from './queries.ts'
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

export class ObjectRecords extends Queries {
  protected readonly writing: WritingDatabase

  constructor(db: WritingDatabase) {
    super(db)
    this.writing = db
  }

  transaction<T>(run: () => T): Promise<T> {
    return this.writing.transaction(run)
  }

  protected touchGeneration(): void {
    this.writing.run("update state set value = value + 1 where key = 'generation'")
  }

  /** Returns whether this file is now the one kept for the NAR: not when a good one was here already. */
  addNar(file: NarFile, at: number): boolean {
    const known = this.findNar(file.narHash)
    if (known !== undefined && !known.isDamaged) return known.fileHash === file.fileHash
    this.writing.run(
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
    this.touchGeneration()
    return true
  }

  addLoose(file: NarFile, user: string, at: number): void {
    this.writing.run(
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
    const isNews =
      this.writing.run('update nar set damaged_at = ? where nar_hash = ? and damaged_at is null', at, narHash) > 0
    if (isNews) this.touchGeneration()
    return isNews
  }

  addObject(object: NewObject, who: Pusher, at: number): void {
    const hashPart = hashPartOf(object.storePath)
    this.writing.run(
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
    for (const reference of object.references)
      this.writing.run('insert or ignore into ref (hash_part, ref_path) values (?, ?)', hashPart, reference)
    this.touchGeneration()
  }

  setSignatures(storePath: string, signatures: readonly string[]): void {
    this.writing.run(
      'update object set signatures = ? where hash_part = ?',
      signatures.join(' '),
      hashPartOf(storePath),
    )
    this.touchGeneration()
  }

  /** To the hour: a later time is written only when the old one is an hour old. A promise is written as it is. */
  noteUse(hashPart: string, at: number, isPromised = false): void {
    if (isPromised)
      this.writing.run('update object set promised_at = max(promised_at, ?) where hash_part = ?', at, hashPart)
    this.writing.run('update object set last_used = ?2 where hash_part = ?1 and last_used < ?2 - 3600000', hashPart, at)
  }

  addElsewhere(path: PathRecord, keyName: string, at: number): void {
    this.writing.run(
      `insert into elsewhere (store_path, nar_hash, nar_size, key_name, seen_at) values (?, ?, ?, ?, ?) on conflict (store_path) do update set seen_at = excluded.seen_at`,
      path.storePath,
      path.narHash,
      path.narSize,
      keyName,
      at,
    )
  }

  allNars(): {
    readonly narHash: string
    readonly fileHash: string
    readonly compression: string
    readonly fileSize: number
    readonly isDamaged: boolean
  }[] {
    return this.writing.all('select nar_hash, file_hash, compression, file_size, damaged_at from nar').map((row) => ({
      narHash: String(row.nar_hash),
      fileHash: String(row.file_hash),
      compression: String(row.compression),
      fileSize: Number(row.file_size),
      isDamaged: row.damaged_at !== null,
    }))
  }

  pathsOfNar(narHash: string): string[] {
    return this.writing
      .all('select store_path from object where nar_hash = ?', narHash)
      .map((row) => String(row.store_path))
  }

  /** Every object with what decides whether it is kept. */
  *graphNodes(): Generator<{
    hashPart: string
    storePath: string
    narHash: string
    fileSize: number
    pushedAt: number
    lastUsed: number
    promisedAt: number
  }> {
    for (const row of this.writing.iterate(
      'select o.hash_part, o.store_path, o.nar_hash, n.file_size, o.pushed_at, o.last_used, o.promised_at from object o join nar n on n.nar_hash = o.nar_hash',
    )) {
      yield {
        hashPart: String(row.hash_part),
        storePath: String(row.store_path),
        narHash: String(row.nar_hash),
        fileSize: Number(row.file_size),
        pushedAt: Number(row.pushed_at),
        lastUsed: Number(row.last_used),
        promisedAt: Number(row.promised_at),
      }
    }
  }

  *graphEdges(): Generator<readonly [hashPart: string, reference: string]> {
    for (const row of this.writing.iterate('select hash_part, ref_path from ref'))
      yield [String(row.hash_part), String(row.ref_path)]
  }
}
