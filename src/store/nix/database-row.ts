/**
 * A row of `ValidPaths` with its references, judged: the database belongs to this machine, yet what it holds goes into
 * signed replies, so nothing is passed on that is not exactly what Nix writes.
 *
 *   6 · /nix/store/iah2…-app-1.0 · sha256:<64 hex> · 1700000000 · /nix/store/lp3x…-app-1.0.drv · 400 · 1 · name:sig
 * name:sig · NULL · "/nix/store/a… /nix/store/b…"
 *
 * Source: the schema of /nix/var/nix/db/db.sqlite. Rows of very old Nix versions have no narSize: such a path cannot be
 * signed and counts as absent.
 */
import { parseContentAddress } from '../../nix/content-address.ts'
import { toNix32Sha256 } from '../../nix/hash.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { isSignature } from '../../nix/signature.ts'
import { parseStorePath } from '../../nix/store-path.ts'

/** The columns of `pathInfoQuery`, in its order. */
export type StoreRow = readonly [
  id: unknown,
  path: unknown,
  hash: unknown,
  registrationTime: unknown,
  deriver: unknown,
  narSize: unknown,
  ultimate: unknown,
  sigs: unknown,
  ca: unknown,
  references: unknown,
]

/** Identifies one registration of a path: row numbers are never reused. */
export interface StoreRecord {
  readonly id: number
  readonly info: PathInfo
}

/**
 * Read-only and one statement, hence one transaction: row and references cannot be of different times. Parameters:
 * lower and upper bound of the path.
 */
export const pathInfoQuery = `
  select v.id, v.path, v.hash, v.registrationTime, v.deriver, v.narSize, v.ultimate, v.sigs, v.ca,
    (select group_concat(p.path, ' ') from Refs r join ValidPaths p on p.id = r.reference where r.referrer = v.id)
  from ValidPaths v where v.path >= ? and v.path < ? order by v.path limit 1`

/** The record, or a text that says which column cannot be served. */
export function toStoreRecord(row: StoreRow, storeDir: string): StoreRecord | string {
  const [id, path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca, references] = row
  const storePath = toStorePath(path, storeDir)
  const narHash = typeof hash === 'string' ? toNix32Sha256(hash) : undefined
  const referencePaths = splitWords(references)
  if (!isCount(id)) return 'id is no number'
  if (!storePath) return 'path is no store path'
  if (!narHash) return 'hash is no SHA-256'
  if (!isCount(registrationTime)) return 'registrationTime is no number of seconds'
  if (!isCount(narSize) || narSize === 0) return 'narSize is missing'
  if (!referencePaths?.every((reference) => toStorePath(reference, storeDir))) return 'a reference is no store path'
  const info: PathInfo = {
    storePath,
    narHash,
    narSize,
    // Store paths are ASCII: the order of UTF-16 units is that of bytes.
    references: referencePaths.sort(),
    deriver: toStorePath(deriver, storeDir),
    signatures: toSignatures(sigs),
    // In a form that this version does not know it would make clients refuse the narinfo; without it the path is as
    // good as its signatures.
    contentAddress: typeof ca === 'string' ? parseContentAddress(ca) : undefined,
    registrationTime,
    ultimate: ultimate === 1,
  }
  return { id, info }
}

/** What is a store path right below `storeDir`; undefined for any other value of a column. */
export function toStorePath(value: unknown, storeDir: string): string | undefined {
  return typeof value === 'string' ? parseStorePath(value, storeDir) : undefined
}

/**
 * Of the column's words those which clients take, without repetitions: they refuse a whole narinfo over one of another
 * form.
 */
export function toSignatures(sigs: unknown): string[] {
  if (typeof sigs !== 'string') return []
  return [...new Set(splitWords(sigs)?.filter(isSignature))]
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function splitWords(text: unknown): string[] | undefined {
  if (text === null || text === '') return []
  return typeof text === 'string' ? text.split(' ').filter((word) => word !== '') : undefined
}
