/** Opens the depot: its directory, the lock on it, the writer, the reader. */
import { mkdirSync, readdirSync } from 'node:fs'

import { takeDirectoryLock } from '../../disk/lock.ts'
import { Depot } from './depot.ts'
import { type DepotOptions, noLocal } from './depot-options.ts'
import type { WriterHost } from './host.ts'
import { defaultPolicy } from './types.ts'
import { Uses } from './uses.ts'
import { startWriterThread } from './writer-thread.ts'

const ourNames = new Set([
  'depot.db',
  'depot.db-wal',
  'depot.db-shm',
  'lock',
  'lock-journal',
  'lock.pid',
  'nar',
  'part',
  'in',
  'log',
  'backup',
  'reserved',
  'lost+found',
])

/** @throws {DirectoryLocked | Error} naming the directory and the remedy */
export async function openDepot(options: DepotOptions): Promise<Depot> {
  const { dir } = options
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const foreign = readdirSync(dir).filter((name) => !ourNames.has(name) && !name.startsWith('.'))
  if (foreign.length > 0)
    throw new Error(
      `Cannot use "${dir}" as the depot: it contains "${foreign[0]}", which Burrow did not create. Choose an empty directory`,
    )
  const lock = takeDirectoryLock(dir, options.pid)
  try {
    return await openLocked(options, lock)
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}

async function openLocked(options: DepotOptions, lock: Disposable): Promise<Depot> {
  const {
    log,
    local = noLocal,
    policy,
    startWriter = startWriterThread,
    reserveBytes = 16 * 2 ** 20,
    maxXzMemoryBytes = 128 * 2 ** 20,
  } = options
  const { dir, storeDir, maxBytes, keepFree, searchPath } = options
  const uses = new Uses(options.now ?? Date.now)
  const host: WriterHost = {
    ...local,
    takeUses: async () => uses.take(),
    log: (level, fields, message) => log[level](fields, message),
  }
  const whole = { ...defaultPolicy, ...policy }
  const writer = await startWriter(
    { dir, storeDir, maxBytes, keepFree, reserveBytes, policy: whole, searchPath, maxXzMemoryBytes },
    host,
    log,
  )
  if (writer.recovered.sweptFiles > 0)
    log.info({ dir, files: writer.recovered.sweptFiles }, 'removed files that an interrupted run left in the depot')
  return new Depot(options, whole, lock, uses, writer)
}
