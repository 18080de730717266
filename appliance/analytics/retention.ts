/** What is deleted from the usage file: figures older than the settings say, and the oldest details of a file that is too large. */
import type { UsageDatabase } from './usage-file.ts'

export interface Retention {
  readonly keepDays: number
  /** 0: networks are not stored at all. */
  readonly keepAddressesDays: number
  readonly maxBytes: number
}

const dayMs = 86_400_000
/** After a file was too large, so that it is not for every batch. */
const roomShare = 0.9

export function deleteOld(database: UsageDatabase, { keepDays, keepAddressesDays }: Retention, now: number): void {
  const firstDay = Math.floor(now / dayMs) - keepDays + 1
  database.transaction(() => {
    database.run('delete from hour where hour < ?', firstDay * 24)
    for (const table of ['download', 'miss', 'slow']) database.run(`delete from ${table} where day < ?`, firstDay)
    database.run('delete from tunnel_drop where at < ?', firstDay * dayMs)
    database.run('delete from network where last_at < ?', now - keepAddressesDays * dayMs)
    database.run('delete from user where last_at < ? and id not in (select user from hour)', firstDay * dayMs)
    deleteUnusedPaths(database)
  })
  giveBack(database)
}

/** Deletes whole days, the oldest first and never today: first of details (by path, absent, slow), then of the sums by hour. */
export function deleteExcess(database: UsageDatabase, { maxBytes }: Retention, now: number): void {
  if (database.usedBytes <= maxBytes) return
  const today = Math.floor(now / dayMs)
  while (database.usedBytes > maxBytes * roomShare) {
    const details = oldestDay(database, detailDays)
    const hours = oldestDay(database, 'select min(hour) / 24 as day from hour')
    if (details < today) {
      database.transaction(() => {
        for (const table of ['download', 'miss', 'slow']) database.run(`delete from ${table} where day <= ?`, details)
        deleteUnusedPaths(database)
      })
    } else if (hours < today) database.run('delete from hour where hour < ?', (hours + 1) * 24)
    else break
  }
  giveBack(database)
}

const detailDays =
  'select min(day) as day from (select min(day) as day from download union all select min(day) from miss union all select min(day) from slow)'

function oldestDay(database: UsageDatabase, sql: string): number {
  const { day } = database.get(sql)!
  return day === null ? Number.POSITIVE_INFINITY : Number(day)
}

function deleteUnusedPaths(database: UsageDatabase): void {
  database.run(
    'delete from path where id <> 0 and not exists (select 1 from download where path = path.id) and id not in (select path from slow)',
  )
}

function giveBack(database: UsageDatabase): void {
  database.exec('PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)')
}
