/** Rows of the database as the depot's records. */
import type { Compression } from '../../../nix/nar-info.ts'
import type { PathInfo } from '../../../nix/path-info.ts'
import type { ListedPath } from '../../store.ts'
import type { NarRecord } from '../types.ts'
import type { Row } from './connection.ts'

export interface ObjectRecord {
  readonly info: PathInfo
  readonly nar: NarRecord
  readonly pushedAt: number
  readonly pushedBy: string
  readonly lastUsed: number
  readonly promisedAt: number
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

export function toNar(row: Row): NarRecord {
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

export function toObject(row: Row): ObjectRecord {
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
    promisedAt: Number(row.promised_at),
  }
}

/** With the columns `store_path` and `at`. */
export function toListedPath(row: Row): ListedPath {
  return { storePath: String(row.store_path), registrationTime: Math.floor(Number(row.at) / 1000) }
}

export function toAssembly(row: Row): AssemblyRecord {
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

export function words(value: Row[string] | undefined): string[] {
  return typeof value === 'string' && value !== '' ? value.split(' ') : []
}

export function optional(value: Row[string] | undefined): string | undefined {
  return value === null || value === undefined ? undefined : String(value)
}
