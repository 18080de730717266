/** Objects, their NARs, and what belongs to them, as either connection reads them. */
import type { Compression } from '../../../nix/nar-info.ts'
import type { PathsPage } from '../../store.ts'
import type { NarRecord } from '../types.ts'
import type { Connection } from './connection.ts'
import { type AssemblyRecord, type ObjectRecord, toAssembly, toListedPath, toNar, toObject } from './rows.ts'

const narColumns = 'n.nar_hash, n.nar_size, n.compression, n.file_hash, n.file_size, n.flat_sha256, n.damaged_at'
const objectColumns = `o.*, ${narColumns}, (select group_concat(ref_path, ' ') from (select ref_path from ref r where r.hash_part = o.hash_part order by ref_path)) as refs`

export class ObjectQueries {
  readonly db: Connection

  constructor(db: Connection) {
    this.db = db
  }

  state(key: 'generation' | 'bytes'): number {
    return Number(this.db.get('select value from state where key = ?', key)!.value)
  }

  findObject(hashPart: string): ObjectRecord | undefined {
    const row = this.db.get(
      `select ${objectColumns} from object o join nar n on n.nar_hash = o.nar_hash where o.hash_part = ?`,
      hashPart,
    )
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
  findClaim(
    fileHash: string,
  ): { readonly narHash: string; readonly compression: Compression; readonly fileSize: number } | undefined {
    const row =
      this.db.get(
        'select nar_hash, compression, file_size from nar where file_hash = ? and damaged_at is null',
        fileHash,
      ) ?? this.db.get('select nar_hash, compression, file_size from loose where file_hash = ?', fileHash)
    return (
      row && {
        narHash: String(row.nar_hash),
        compression: row.compression as Compression,
        fileSize: Number(row.file_size),
      }
    )
  }

  hasPath(storePath: string): boolean {
    return this.db.get('select 1 as one from object where store_path = ?', storePath) !== undefined
  }

  /**
   * First all objects by hash part, then what events say was added since: the cursor is `<hash part> <event id>`, and
   * the event id alone afterwards.
   */
  pathsAfter(cursor: string): PathsPage {
    const [, from, eventText] = /^(?:([0-9a-z]*) )?(\d*)$/.exec(cursor) ?? []
    const event = eventText === '' || eventText === undefined ? this.#lastEvent() : Number(eventText)
    if (cursor === '' || from !== undefined) {
      const rows = this.db.all(
        'select hash_part, store_path, pushed_at as at from object where hash_part > ? order by hash_part limit 1000',
        from ?? '',
      )
      return {
        paths: rows.map(toListedPath),
        cursor: rows.length === 0 ? String(event) : `${rows.at(-1)!.hash_part} ${event}`,
      }
    }
    const rows = this.db.all(
      "select id, store_path, at from event where id > ? and action in ('push', 'adopt') and store_path is not null order by id limit 1000",
      event,
    )
    return { paths: rows.map(toListedPath), cursor: String(rows.at(-1)?.id ?? event) }
  }

  referrersOf(storePath: string, limit: number): string[] {
    return this.db
      .all(
        'select o.store_path from ref r join object o on o.hash_part = r.hash_part where r.ref_path = ?1 and o.store_path <> ?1 limit ?2',
        storePath,
        limit,
      )
      .map((row) => String(row.store_path))
  }

  #lastEvent(): number {
    return Number(this.db.get('select coalesce(max(id), 0) as id from event')!.id)
  }

  isElsewhere(storePath: string): boolean {
    return this.db.get('select 1 as one from elsewhere where store_path = ?', storePath) !== undefined
  }

  isForgotten(storePath: string, narHash: string): boolean {
    return (
      this.db.get('select 1 as one from forgotten where store_path = ? and nar_hash = ?', storePath, narHash) !==
      undefined
    )
  }

  findDocument(kind: string, key: string): string | undefined {
    return this.db.get('select text from document where kind = ? and key = ?', kind, key)?.text as string | undefined
  }

  findLog(drvBaseName: string): string | undefined {
    return this.db.get('select sha256 from log where drv = ?', drvBaseName)?.sha256 as string | undefined
  }

  findAssembly(user: string, narHash: string, narSize: number, partBytes: number): AssemblyRecord | undefined {
    const row = this.db.get(
      'select * from assembly where user = ? and nar_hash = ? and nar_size = ? and part_bytes = ?',
      user,
      narHash,
      narSize,
      partBytes,
    )
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
}
