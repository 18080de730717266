/** What is asked of the database, by either connection. */
import type { SQLInputValue } from 'node:sqlite'
import type { Compression } from '../../../nix/nar-info.ts'
import type { PathInfo } from '../../../nix/path-info.ts'
import type { DepotEvent, NarRecord } from '../types.ts'
import type { Row } from './writing-database.ts'

export interface Queryable {
  all(sql: string, ...values: SQLInputValue[]): Row[]
  get(sql: string, ...values: SQLInputValue[]): Row | undefined
}

export interface ObjectRecord {
  readonly info: PathInfo
  readonly nar: NarRecord
  readonly pushedAt: number
  readonly pushedBy: string
  readonly lastUsed: number
}

export interface AssemblyRecord {
  readonly id: number
  readonly user: string
  readonly narHash: string
  readonly narSize: number
  readonly partBytes: number
  readonly flushedParts: number
  readonly flushedBytes: number
  readonly touched: number
}

const narColumns = 'n.nar_hash, n.nar_size, n.compression, n.file_hash, n.file_size, n.flat_sha256, n.damaged_at'
const objectColumns = `o.*, ${narColumns}, (select group_concat(ref_path, ' ') from (select ref_path from ref r where r.hash_part = o.hash_part order by ref_path)) as refs`

export class Queries {
  readonly db: Queryable

  constructor(db: Queryable) {
    this.db = db
  }

  state(key: 'generation' | 'bytes'): number {
    return Number(this.db.get('select value from state where key = ?', key)!.value)
  }

  findObject(hashPart: string): ObjectRecord | undefined {
    const row = this.db.get(`select ${objectColumns} from object o join nar n on n.nar_hash = o.nar_hash where o.hash_part = ?`, hashPart)
    return row && toObject(row)
  }

  findNar(narHash: string): NarRecord | undefined {
    const row = this.db.get(`select ${narColumns} from nar n where n.nar_hash = ?`, narHash)
    return row && toNar(row)
  }

  findNarByFile(fileHash: string): NarRecord | undefined {
    const row = this.db.get(`select ${narColumns} from nar n where n.file_hash = ?`, fileHash)
    return row && toNar(row)
  }

  /** The NAR for which this file was sent, and how it was compressed; the file kept may be another. */
  findClaim(fileHash: string): { readonly narHash: string; readonly compression: Compression; readonly fileSize: number } | undefined {
    const row =
      this.db.get('select nar_hash, compression, file_size from nar where file_hash = ? and damaged_at is null', fileHash) ??
      this.db.get('select nar_hash, compression, file_size from loose where file_hash = ?', fileHash)
    return row && { narHash: String(row.nar_hash), compression: row.compression as Compression, fileSize: Number(row.file_size) }
  }

  hasPath(storePath: string): boolean {
    return this.db.get('select 1 as one from object where store_path = ?', storePath) !== undefined
  }

  isElsewhere(storePath: string): boolean {
    return this.db.get('select 1 as one from elsewhere where store_path = ?', storePath) !== undefined
  }

  isForgotten(storePath: string, narHash: string): boolean {
    return this.db.get('select 1 as one from forgotten where store_path = ? and nar_hash = ?', storePath, narHash) !== undefined
  }

  /** Bytes of NARs that no object needs yet, and of parts, by this user or by all. */
  unfinishedBytes(user?: string): number {
    const loose = this.db.get(
      `select coalesce(sum(n.file_size), 0) as bytes from nar n where not exists (select 1 from object o where o.nar_hash = n.nar_hash)
       and (?1 is null or exists (select 1 from loose l where l.nar_hash = n.nar_hash and l.user = ?1))`,
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

  findDocument(kind: string, key: string): string | undefined {
    return this.db.get('select text from document where kind = ? and key = ?', kind, key)?.text as string | undefined
  }

  findLog(drvBaseName: string): string | undefined {
    return this.db.get('select sha256 from log where drv = ?', drvBaseName)?.sha256 as string | undefined
  }

  findAssembly(user: string, narHash: string, narSize: number, partBytes: number): AssemblyRecord | undefined {
    const row = this.db.get('select * from assembly where user = ? and nar_hash = ? and nar_size = ? and part_bytes = ?', user, narHash, narSize, partBytes)
    return row && toAssembly(row)
  }

  /** Every assembly of this NAR by this user, whatever its parts' size. */
  assembliesOf(user: string, narHash: string): AssemblyRecord[] {
    return this.db.all('select * from assembly where user = ? and nar_hash = ?', user, narHash).map(toAssembly)
  }

  /** Indices of parts that are on disk and not appended yet, in order. */
  waitingParts(assembly: number): number[] {
    return this.db.all('select idx from part where assembly = ? order by idx', assembly).map((row) => Number(row.idx))
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

  counts(): { readonly objects: number; readonly nars: number; readonly damaged: number; readonly assemblies: number; readonly pins: number } {
    const row = this.db.get(
      `select (select count(*) from object) as objects, (select count(*) from nar) as nars, (select count(*) from nar where damaged_at is not null) as damaged,
       (select count(*) from assembly) as assemblies, (select count(*) from pin) as pins`,
    )!
    return { objects: Number(row.objects), nars: Number(row.nars), damaged: Number(row.damaged), assemblies: Number(row.assemblies), pins: Number(row.pins) }
  }

  events(where: { readonly storePath?: string | undefined; readonly since?: number | undefined; readonly limit: number }): DepotEvent[] {
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

function toNar(row: Row): NarRecord {
  return {
    narHash: String(row.nar_hash),
    narSize: Number(row.nar_size),
    compression: row.compression as Compression,
    fileHash: String(row.file_hash),
    fileSize: Number(row.file_size),
    flatHash: optional(row.flat_sha256),
    isDamaged: row.damaged_at !== null,
  }
}

function toObject(row: Row): ObjectRecord {
  return {
    info: {
      storePath: String(row.store_path),
      narHash: String(row.nar_hash),
      narSize: Number(row.nar_size),
      references: words(row.refs),
      deriver: optional(row.deriver),
      signatures: words(row.signatures),
      contentAddress: optional(row.ca),
      registrationTime: Math.floor(Number(row.pushed_at) / 1000),
      ultimate: false,
    },
    nar: toNar(row),
    pushedAt: Number(row.pushed_at),
    pushedBy: String(row.pushed_by),
    lastUsed: Number(row.last_used),
  }
}

function toAssembly(row: Row): AssemblyRecord {
  return {
    id: Number(row.id),
    user: String(row.user),
    narHash: String(row.nar_hash),
    narSize: Number(row.nar_size),
    partBytes: Number(row.part_bytes),
    flushedParts: Number(row.flushed_parts),
    flushedBytes: Number(row.flushed_bytes),
    touched: Number(row.touched),
  }
}

function words(value: Row[string] | undefined): string[] {
  return typeof value === 'string' && value !== '' ? value.split(' ') : []
}

function optional(value: Row[string] | undefined): string | undefined {
  return value === null || value === undefined ? undefined : String(value)
}
