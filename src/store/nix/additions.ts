/**
 * Which paths became valid since a point in time, by the ids of their rows: SQLite gives each a higher one than all
 * before it, also after the highest was deleted (`autoincrement`). A path that was deleted and added again counts as
 * new. Source: schema.sql of Nix.
 */
import type { DatabaseConnection } from './database-connection.ts'
import { toStorePath } from './database-row.ts'

export interface Addition {
  readonly id: number
  readonly storePath: string
  /** Unix time in seconds. */
  readonly registrationTime: number
}

const sequenceQuery = `select seq from sqlite_sequence where name = 'ValidPaths'`
const highestQuery = 'select max(id) from ValidPaths'
const addedQuery =
  'select id, path, registrationTime from ValidPaths where id > cast(? as integer) order by id limit 1000'
const referrersQuery =
  'select path from Refs join ValidPaths on id = referrer where reference = (select id from ValidPaths where path = ?) and path <> ? limit cast(? as integer)'
const pathQuery = 'select path from ValidPaths where id = cast(? as integer)'

/** The highest id that was ever given; 0 in an empty store. */
export function findLastId(connection: DatabaseConnection): number {
  const [[given] = []] = connection.all(sequenceQuery)
  const [[highest] = []] = connection.all(highestQuery)
  return Math.max(toId(given), toId(highest))
}

/** At most 1000, the oldest first. */
export function findAdditions(connection: DatabaseConnection, id: number, storeDir: string): Addition[] {
  return connection.all(addedQuery, String(id)).flatMap(([found, path, time]) => {
    const storePath = toStorePath(path, storeDir)
    return storePath === undefined ? [] : [{ id: toId(found), storePath, registrationTime: toId(time) }]
  })
}

/** At most `limit`, without the path itself. */
export function findReferrers(
  connection: DatabaseConnection,
  storePath: string,
  limit: number,
  storeDir: string,
): string[] {
  return connection
    .all(referrersQuery, storePath, storePath, String(limit))
    .flatMap(([path]) => toStorePath(path, storeDir) ?? [])
}

/** Undefined if it is not valid. */
export function findPathOfId(connection: DatabaseConnection, id: number): string | undefined {
  const [[path] = []] = connection.all(pathQuery, String(id))
  return typeof path === 'string' ? path : undefined
}

function toId(value: unknown): number {
  return typeof value === 'number' && value >= 0 ? value : 0
}
